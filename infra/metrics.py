"""Write docs/metrics.md from the registered metrics: `python -m infra.metrics [--check]`."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from opentelemetry.sdk.trace.export import ConsoleSpanExporter
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from infra.generated import write_or_check
from shared.telemetry.export import CountingExporter
from shared.telemetry.metrics import MOST_VALUES, WATCHED, Metrics

PAGE = Path("docs/metrics.md")
_HEAD = f"""\
# Metrics

Each service, including the gateway, serves them at `/metrics` on its HTTP port, in Prometheus' format; unused series
stay empty, and `process_…` metrics are included. No label is a run's id: use traces to find a run. Labels with external
values (tenant, model, tool, error) keep the first {MOST_VALUES} values a process sees, all others become `other`.

Runs and steps are counted by the orchestrator once the change is recorded, model and tool calls by the agent that makes
them: neither a redelivered message nor a replayed turn counts again. `waggle_consumer_lag` and
`waggle_commit_age_seconds` come from the consumer that owns the partitions: sum the one over the consumers of a group,
take the maximum of the other.

Alert rules are in [`infra/prometheus/alerts.yml`](../infra/prometheus/alerts.yml), their runbooks in
[operate](operate.md#alerts); dashboards are in [`infra/grafana/dashboards`](../infra/grafana/dashboards).

| metric | kind | labels | meaning |
|---|---|---|---|
"""


class Metric(NamedTuple):
    """One metric, under its Prometheus name."""

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
    return Metric(name, family.type, tuple(registered._labelnames), family.documentation)  # noqa: SLF001 -- available nowhere else


def page() -> str:
    """Return the whole page."""
    return _HEAD + "".join(map(_row, catalogue()))


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels) or "none"
    return f"| `{metric.name}` | {metric.kind} | {labels} | {metric.about} |\n"


def main() -> None:
    """Write the page; with --check only report whether it is up to date."""
    write_or_check({PAGE: page()}, "infra.metrics")


if __name__ == "__main__":
    main()
