"""Alerts and dashboards ask only for what the services expose, and lead somewhere."""

import re

import pytest
import yaml
from prometheus_client import CollectorRegistry

from infra.dashboards.__main__ import files
from reference.metrics import catalogue
from shared.telemetry.metrics import Metrics
from shared.telemetry.series import MOST_VALUES
from tests.support.queries import DASHBOARDS, ROOT, RULE_LIST, UnknownName, chosen, drawn, exposed, labels_of

ALERTS = [rule for rule in RULE_LIST if "alert" in rule]
DRAWN = list(drawn())
KNOWN = exposed()
CASES = yaml.safe_load((ROOT / "infra/prometheus/tests/alerts_test.yml").read_text())["tests"]
TRIED = [case for group in CASES for case in group.get("alert_rule_test", [])]
GIVEN = {each["series"] for group in CASES for each in group["input_series"]}
LABELS = {
    "state", "limit", "about", "decision", "kind", "reason",  # few values each, all written in the code
    "action", "verdict", "rule", "where", "solved", "check", "passed",  # so are these
    "agent", "topic", "partition", "group", "server",  # as many as there are services, and as were declared
    "tenant", "model", "tool", "error", "outcome", "type",  # bounded
    "endpoint", "instead_of", "breaker", "channel",  # bounded too
}  # fmt: skip


@pytest.mark.parametrize("rule", RULE_LIST, ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_uses_only_metrics_and_labels_that_are_exposed(rule):
    labels = labels_of(rule["expr"], KNOWN)
    said = " ".join(rule.get("annotations", {}).values())
    assert set(re.findall(r"\$labels\.(\w+)", said)) <= labels


@pytest.mark.parametrize(("panel", "query", "legend"), DRAWN, ids=[f"{panel}: {legend}" for panel, _, legend in DRAWN])
def test_a_panel_uses_only_metrics_and_labels_that_are_exposed(panel, query, legend):
    labels = labels_of(query, KNOWN)
    assert set(re.findall(r"{{(\w+)}}", legend)) <= labels


@pytest.mark.parametrize(("board", "metric", "label"), list(chosen()))
def test_a_variable_is_filled_from_a_label_that_is_exposed(board, metric, label):
    assert label in KNOWN[metric]


@pytest.mark.parametrize(
    "query",
    [
        "sum(waggle_no_such_total)",
        'waggle_runs_finished_total{run="r"}',
        "sum by (agent) (waggle_runs_finished_total)",
        "waggle_in_flight > 0 unless on (topic) waggle_consumer_lag > 0",
        "waggle_runs_started_total / sum by (state) (waggle_runs_finished_total)",
        "rate(waggle_run_cost_usd[5m])",
    ],
)
def test_the_check_finds_metrics_that_no_service_exposes(query):
    with pytest.raises(UnknownName):
        labels_of(query, KNOWN)


def test_every_variable_a_panel_uses_is_declared_and_every_declared_one_used():
    for name, board in DASHBOARDS.items():
        declared = {variable["name"] for variable in board["templating"]["list"]}
        used = set(re.findall(r"(?<!-)\$\{?(?!__)(\w+)", str(board["panels"])))
        assert used == declared, name


def test_panels_do_not_overlap_and_each_asks_a_provisioned_source():
    for board in DASHBOARDS.values():
        cells = [
            (x, y)
            for place in (panel["gridPos"] for panel in board["panels"])
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        ]
        assert len(cells) == len(set(cells))
        assert max(x for x, _ in cells) < 24
        sources = {panel["datasource"]["uid"] for panel in board["panels"] if "datasource" in panel}
        assert sources <= {"prometheus", "jaeger"}
    assert len({board["uid"] for board in DASHBOARDS.values()}) == len(DASHBOARDS)


def test_every_metric_is_shown_on_a_dashboard_or_named_here():
    asked = " ".join([query for _, query, _ in DRAWN] + [rule["expr"] for rule in RULE_LIST])
    unseen = {each.name for each in catalogue() if each.name not in asked}
    quiet = {
        "waggle_board_posts_total",
        "waggle_recalls_total",
        "waggle_claims_total",
        "waggle_decisions_total",
        "waggle_runs_started_total",
    }
    quiet |= {"waggle_forgotten_records_total", "waggle_model_checks_total"}
    assert unseen == quiet, "draw it, or name it here"


def test_the_dashboards_are_what_the_declarations_say():
    for path, content in files().items():
        assert (ROOT / path).read_text() == content, "run python -m infra.dashboards"
    assert {path.stem for path in files()} == DASHBOARDS.keys()


@pytest.mark.parametrize("metric", catalogue(), ids=lambda metric: metric.name)
def test_a_metric_is_named_as_prometheus_wants_it_and_has_bounded_labels(metric):
    assert re.fullmatch(r"waggle_[a-z_]+", metric.name)
    assert (metric.kind == "counter") == metric.name.endswith("_total")
    assert set(metric.labels) <= LABELS
    assert metric.about.endswith(".")


def test_of_the_values_that_come_from_outside_a_process_shows_only_so_many():
    metrics = Metrics(CollectorRegistry())
    shown = {metrics.tenant(f"tenant-{number}") for number in range(10 * MOST_VALUES)}
    assert len(shown) == MOST_VALUES + 1
    assert "other" in shown
    assert metrics.tenant("tenant-0") == "tenant-0", "who was known stays known"


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_says_what_it_is_and_its_runbook_is_there(alert):
    assert alert["labels"]["severity"] in {"warning", "critical"}
    notes = alert["annotations"]
    assert notes["summary"]
    assert notes["description"].endswith(".")
    page, anchor = notes["runbook"].split("#")
    assert anchor == alert["alert"].lower()
    assert re.search(rf"^#+ {alert['alert']}$", (ROOT / page).read_text(), re.MULTILINE)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_every_alert_is_tried_as_it_fires_and_as_it_is_silent(alert):
    expected = [case.get("exp_alerts", []) for case in TRIED if case["alertname"] == alert["alert"]]
    assert any(expected)
    assert not all(expected)


def test_of_every_alert_that_is_tried_there_is_a_rule():
    """An alert that is not there is always silent."""
    assert {case["alertname"] for case in TRIED} == {alert["alert"] for alert in ALERTS}


@pytest.mark.parametrize("series", sorted(GIVEN))
def test_series_in_the_alert_tests_are_exposed_with_the_same_labels(series):
    labels_of(series, KNOWN)
