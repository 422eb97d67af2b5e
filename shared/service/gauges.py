"""Gauges of a service's consumer, read at each scrape."""

from collections.abc import Mapping

from aiokafka import TopicPartition

from shared.bus import KeyedConsumer
from shared.bus.held import Held
from shared.telemetry.metrics import Metrics
from shared.telemetry.series import COMMIT_AGE, CONSUMER_LAG, IN_FLIGHT, PARTITION_HELD, READ_AHEAD


def export_gauges(consumer: KeyedConsumer, metrics: Metrics) -> None:
    """Export the consumer's gauges."""
    group = consumer.group
    metrics.watch(*IN_FLIGHT, lambda: {(group,): consumer.in_flight})
    metrics.watch(*READ_AHEAD, lambda: {(group,): consumer.waiting})
    metrics.watch(*CONSUMER_LAG, lambda: {(topic, group): lag for topic, lag in consumer.commits.lag().items()})
    metrics.watch(*COMMIT_AGE, lambda: {(topic, group): age for topic, age in consumer.commits.age().items()})
    metrics.watch(*PARTITION_HELD, lambda: held_partitions(consumer.held))


def held_partitions(found: Mapping[TopicPartition, Held]) -> Mapping[tuple[str, ...], float]:
    """Return 1 for each held partition."""
    return {(each.topic, str(each.partition)): 1.0 for each in found}
