"""Every query of the alerts and dashboards, and the series in them that no service exposes."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import promql_parser as p
import yaml

from reference.metrics import catalogue

ROOT = Path(__file__).parents[2]
RULES = yaml.safe_load((ROOT / "infra/prometheus/alerts.yml").read_text())
RULE_LIST = [rule for group in RULES["groups"] for rule in group["rules"]]
DASHBOARDS = {path.stem: json.loads(path.read_text()) for path in (ROOT / "infra/grafana/dashboards").glob("*.json")}

TARGET = frozenset({"job", "instance", "service"})
"""Labels that Prometheus adds to each sample: prometheus.yml names the service."""

FOREIGN = {"up": TARGET, "kube_deployment_spec_replicas": TARGET | {"namespace", "deployment"}}
"""Series exposed by Prometheus itself, and in a cluster by kube-state-metrics."""

_VARIABLES = {"$__rate_interval": "5m", "$__range": "6h"}
_LABEL_VALUES = re.compile(r"label_values\((\w+), (\w+)\)")


class UnknownName(Exception):
    """A query that would find nothing."""


def exposed() -> dict[str, frozenset[str]]:
    """Sample name → its labels: what the services register, what Prometheus adds, what the rules record."""
    found = {name: labels | TARGET for metric in catalogue() for name, labels in metric.samples()} | FOREIGN
    for rule in RULE_LIST:
        if "record" in rule:
            found[rule["record"]] = labels_of(rule["expr"], found)
    return found


def labels_of(query: str, known: dict[str, frozenset[str]]) -> frozenset[str]:
    """The labels of what the query gives. Raises UnknownName for a metric or label that is not exposed."""
    for name, value in _VARIABLES.items():
        query = query.replace(name, value)
    return _labels(p.parse(query), known)


def _labels(expr, known) -> frozenset[str]:
    match expr:
        case p.VectorSelector():
            return _selected(expr, known)
        case p.MatrixSelector():
            return _selected(expr.vector_selector, known)
        case p.AggregateExpr():
            return _aggregated(expr, _labels(expr.expr, known))
        case p.BinaryExpr():
            return _combined(expr, _labels(expr.lhs, known), _labels(expr.rhs, known))
        case p.Call():
            inside = frozenset[str]().union(*(_labels(each, known) for each in expr.args))
            return inside - {"le"} if expr.func.name == "histogram_quantile" else inside | _replaced(expr)
        case p.ParenExpr() | p.SubqueryExpr() | p.UnaryExpr():
            return _labels(expr.expr, known)
    return frozenset()


def _replaced(call) -> frozenset[str]:
    """The label that `label_replace` adds."""
    return frozenset({call.args[1].val}) if call.func.name == "label_replace" else frozenset()


def _selected(selector, known) -> frozenset[str]:
    if selector.name not in known:
        raise UnknownName(f"nobody exposes {selector.name}")
    _must_be_among(known[selector.name], [each.name for each in selector.matchers.matchers], selector.name)
    return known[selector.name]


def _aggregated(expr, inside: frozenset[str]) -> frozenset[str]:
    if expr.modifier is None:
        return frozenset()
    named = expr.modifier.labels
    _must_be_among(inside, named, str(expr))
    return frozenset(named) if expr.modifier.type == p.AggModifierType.By else inside - set(named)


def _combined(expr, left: frozenset[str], right: frozenset[str]) -> frozenset[str]:
    """Labels missing on one side match nothing: matched vectors have the same labels, or name those they match on."""
    if p.NumberLiteral in {type(expr.lhs), type(expr.rhs)} or _is_scalar(expr.lhs) or _is_scalar(expr.rhs):
        return left | right
    matching = expr.modifier.matching if expr.modifier else None
    if matching is None and left != right and str(expr.op) != "or":
        raise UnknownName(f"{sorted(left)} and {sorted(right)} never match: {expr}")
    if matching is not None:
        _must_be_among(left & right, matching.labels, str(expr))
    return left


def _is_scalar(expr) -> bool:
    match expr:
        case p.NumberLiteral():
            return True
        case p.Call():
            return expr.func.name == "scalar"
        case p.ParenExpr() | p.UnaryExpr():
            return _is_scalar(expr.expr)
        case p.BinaryExpr():
            return _is_scalar(expr.lhs) and _is_scalar(expr.rhs)
    return False


def _must_be_among(there: frozenset[str], named, where: str) -> None:
    if missing := set(named) - there:
        raise UnknownName(f"{where} has no label {', '.join(sorted(missing))}; it has {', '.join(sorted(there))}")


def drawn() -> Iterator[tuple[str, str, str]]:
    """(dashboard and panel, query, legend) of every query Grafana sends to Prometheus."""
    for name, board in DASHBOARDS.items():
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                if target["datasource"]["uid"] == "prometheus":
                    yield f"{name}: {panel['title']}", target["expr"], target["legendFormat"]


def chosen() -> Iterator[tuple[str, str, str]]:
    """(dashboard, metric, label) of every variable that is filled from a label."""
    for name, board in DASHBOARDS.items():
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                yield name, *_LABEL_VALUES.fullmatch(variable["query"]["query"]).groups()
