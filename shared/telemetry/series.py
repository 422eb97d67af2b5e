"""Kinds of series: with bounded labels, counted here, or read at each scrape."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import GaugeMetricFamily

MOST_VALUES = 50
"""Values of a label that comes from outside (tenants, models, tools, error codes); further ones become `other`."""

CONSUMER_LAG = ("waggle_consumer_lag", "Records of the topic not yet finished.", ("topic", "group"))
IN_FLIGHT = ("waggle_in_flight", "Records being processed.", ("group",))
READ_AHEAD = ("waggle_read_ahead", "Records read ahead and not yet started.", ("group",))
COMMIT_AGE = (
    "waggle_commit_age_seconds",
    "Time since the committable offset last advanced while records are waiting or in progress.",
    ("topic", "group"),
)
PARTITION_HELD = (
    "waggle_partition_held",
    "1 while a partition is held at an unreadable batch, or at a record whose key is missing.",
    ("topic", "partition"),
)
BLACKBOARD_WHOLE = ("waggle_blackboard_whole", "1 while the blackboard is usable, else 0.", ())
MCP_CONNECTED = ("waggle_mcp_connected", "1 while an MCP server is connected, else 0.", ("server",))
MCP_TOOLS = ("waggle_mcp_tools", "Tools of an MCP server offered to the agent.", ("server",))
WATCHED = (CONSUMER_LAG, IN_FLIGHT, READ_AHEAD, COMMIT_AGE, PARTITION_HELD, BLACKBOARD_WHOLE, MCP_CONNECTED, MCP_TOOLS)
"""Gauges read at each scrape: name, help text, labels. Only services that have them expose them."""


class BoundedLabel:
    """Limits the number of distinct values of a label."""

    def __init__(self, most: int = MOST_VALUES) -> None:
        self._known: set[str] = set()
        self._most = most

    def __call__(self, value: str) -> str:
        """Return the value, or `other` once the limit is reached."""
        if value not in self._known and len(self._known) >= self._most:
            return "other"
        self._known.add(value)
        return value


class Registered:
    """Metrics of one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(name, about, labels, registry=self._registry)

    def _histogram(self, name: str, about: str, buckets: Sequence[float], *labels: str) -> Histogram:
        return Histogram(name, about, labels, buckets=buckets, registry=self._registry)

    def _gauge(self, name: str, about: str, *labels: str) -> Gauge:
        return Gauge(name, about, labels, registry=self._registry)

    def watch(
        self, name: str, about: str, labels: Sequence[str], read: Callable[[], Mapping[tuple[str, ...], float]]
    ) -> None:
        """Register a gauge that is read at each scrape: label values → value."""
        self._registry.register(Watched(name, about, labels, read))


class Watched:
    """A collector of one gauge family."""

    def __init__(
        self, name: str, about: str, labels: Sequence[str], read: Callable[[], Mapping[tuple[str, ...], float]]
    ) -> None:
        self._facts = (name, about, list(labels))
        self._read = read

    def describe(self) -> list[Any]:
        """Describe the family without reading values."""
        name, about, labels = self._facts
        return [GaugeMetricFamily(name, about, labels=labels)]

    def collect(self) -> list[Any]:
        """Read the values."""
        [family] = self.describe()
        for values, value in self._read().items():
            family.add_metric(list(values), value)
        return [family]
