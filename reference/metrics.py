"""docs/metrics.md: every metric, from the registry that the services fill."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from opentelemetry.sdk.trace.export import ConsoleSpanExporter
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from shared.telemetry.export import CountingExporter
from shared.telemetry.metrics import Metrics
from shared.telemetry.series import MOST_VALUES, WATCHED

PAGE = Path("docs/metrics.md")
_HEAD = f"""\
# Metrics

Every service, including the gateway, serves them at `/metrics` on its HTTP port in the Prometheus format, together with
`process_…`; unused series stay empty. No label holds a run's id: traces identify runs. Labels with values from outside
(tenant, model, tool, error) keep the first {MOST_VALUES} values a process sees; further values become `other`.

The orchestrator counts runs and steps once the change is recorded, agents count model and tool calls: a redelivered
message or a replayed turn is not counted twice. `waggle_consumer_lag` and `waggle_commit_age_seconds` come from the
consumer that owns the partitions: sum the former over the consumers of a group, take the maximum of the latter.

Alert rules are in [`infra/prometheus/alerts.yml`](../infra/prometheus/alerts.yml), their runbooks in
[operate](operate.md#alerts), dashboards in [`infra/grafana/dashboards`](../infra/grafana/dashboards).

| metric | kind | labels | meaning |
|---|---|---|---|
"""


class Metric(NamedTuple):
    """One metric under its Prometheus name."""

    name: str
    kind: str
    labels: tuple[str, ...]
    about: str

    def samples(self) -> Iterator[tuple[str, frozenset[str]]]:
        """Return the names that queries may use, with the labels of each."""
        if self.kind == "histogram":
            yield f"{self.name}_bucket", frozenset({*self.labels, "le"})
            yield f"{self.name}_count", frozenset(self.labels)
            yield f"{self.name}_sum", frozenset(self.labels)
        else:
            yield self.name, frozenset(self.labels)


def catalogue() -> list[Metric]:
    """Return all our metrics, in order of declaration."""
    registry = CollectorRegistry()
    owners = Metrics(registry), CountingExporter(ConsoleSpanExporter(), registry)
    registered = [each for owner in owners for each in vars(owner).values() if isinstance(each, MetricWrapperBase)]
    watched = [Metric(name, "gauge", tuple(labels), about) for name, about, labels in WATCHED]
    return [*map(_metric, registered), *watched]


def _metric(registered: MetricWrapperBase) -> Metric:
    [family] = registered.describe()
    name = f"{family.name}_total" if family.type == "counter" else family.name
    return Metric(name, family.type, tuple(registered._labelnames), family.documentation)  # noqa: SLF001 -- it has no public name


def pages() -> dict[Path, str]:
    """The page by its path."""
    return {PAGE: _HEAD + "".join(map(_row, catalogue()))}


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels) or "none"
    return f"| `{metric.name}` | {metric.kind} | {labels} | {metric.about} |\n"
