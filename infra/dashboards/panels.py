"""Elements of a dashboard, in Grafana's format."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]

PROMETHEUS: Json = {"type": "prometheus", "uid": "prometheus"}
JAEGER: Json = {"type": "jaeger", "uid": "jaeger"}

SCHEMA = 39
"""Version of the dashboard format: Grafana 11 and newer read it, and migrate it themselves."""

COLUMNS = 24
_HEIGHT = 8


def graph(
    title: str, queries: Mapping[str, str], unit: str = "short", about: str = "", *, stacked: bool = False
) -> Json:
    """Lines over time: legend → query. A legend may name labels, as `{{topic}}`."""
    drawn = {"fillOpacity": 10, "showPoints": "never", "stacking": {"mode": "normal" if stacked else "none"}}
    return _panel("timeseries", title, queries, unit, about) | {
        "fieldConfig": {"defaults": {"unit": unit, "min": 0, "custom": drawn}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
    }


def number(title: str, query: str, unit: str = "short", about: str = "", bad_above: float | None = None) -> Json:
    """The latest value, red above `bad_above`."""
    steps: list[Json] = [{"color": "green", "value": None}]
    if bad_above is not None:
        steps.append({"color": "red", "value": bad_above})
    return _panel("stat", title, {"": query}, unit, about) | {
        "fieldConfig": {
            "defaults": {"unit": unit, "thresholds": {"mode": "absolute", "steps": steps}, "noValue": "–"},
            "overrides": [],
        },
        "options": {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "area"},
    }


def trace_search(title: str, service: str, tags: str, about: str = "") -> Json:
    """A table of the traces that have a span of the service with these tags (`name=value`)."""
    target = {"refId": "A", "datasource": JAEGER, "queryType": "search", "service": service, "tags": tags, "limit": 20}
    link = {"title": "Show this trace below", "url": "/d/waggle-run?${run:queryparam}&var-trace=${__value.raw}"}
    return {
        "type": "table",
        "title": title,
        "description": about,
        "datasource": JAEGER,
        "targets": [target],
        "fieldConfig": {
            "defaults": {},
            "overrides": [
                {"matcher": {"id": "byName", "options": "Trace ID"}, "properties": [{"id": "links", "value": [link]}]}
            ],
        },
        "options": {"showHeader": True},
    }


def trace(title: str, id: str) -> Json:
    """One trace as a tree over time."""
    return {
        "type": "traces",
        "title": title,
        "datasource": JAEGER,
        "targets": [{"refId": "A", "datasource": JAEGER, "query": id}],
        "fieldConfig": {"defaults": {}, "overrides": []},
        "options": {},
    }


def words(text: str) -> Json:
    """Markdown."""
    return {
        "type": "text",
        "title": "",
        "options": {"mode": "markdown", "content": text},
        "fieldConfig": {"defaults": {}, "overrides": []},
    }


def choice(name: str, label: str, query: str) -> Json:
    """A variable with the values of a label; several or all may be selected."""
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": PROMETHEUS,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
        "sort": 1,
    }


def entry(name: str, label: str) -> Json:
    """A free-text variable."""
    return {"type": "textbox", "name": name, "label": label, "query": "", "current": {"text": "", "value": ""}}


Row: TypeAlias = Sequence[Json]
"""Panels side by side, of equal width."""


def board(
    uid: str, title: str, about: str, rows: Sequence[Row | tuple[int, Row]], variables: Sequence[Json] = ()
) -> Json:
    """A dashboard. A row may be preceded by its height."""
    return {
        "uid": uid,
        "title": title,
        "description": about,
        "tags": ["waggle"],
        "schemaVersion": SCHEMA,
        "version": 1,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": list(variables)},
        "links": [{"type": "dashboards", "title": "Waggle", "tags": ["waggle"], "asDropdown": True, "keepTime": True}],
        "annotations": {"list": []},
        "panels": _placed(rows),
    }


def _placed(rows: Sequence[Row | tuple[int, Row]]) -> list[Json]:
    placed: list[Json] = []
    top = 0
    for row in rows:
        height, panels = row if isinstance(row, tuple) else (_HEIGHT, row)
        width = COLUMNS // len(panels)
        for column, panel in enumerate(panels):
            place = {"x": column * width, "y": top, "w": width, "h": height}
            placed.append({"id": len(placed) + 1, **panel, "gridPos": place})
        top += height
    return placed


def _panel(kind: str, title: str, queries: Mapping[str, str], unit: str, about: str) -> Json:
    targets = [
        {"refId": chr(ord("A") + number), "datasource": PROMETHEUS, "expr": query, "legendFormat": legend or "__auto"}
        for number, (legend, query) in enumerate(queries.items())
    ]
    return {"type": kind, "title": title, "description": about, "datasource": PROMETHEUS, "targets": targets}
