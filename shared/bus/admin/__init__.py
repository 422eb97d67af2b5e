"""Inspection of Kafka: connectivity, topic contents, consumer lag and skipped batches."""

from shared.bus.admin.cluster import KafkaSurvey, newest, survey
from shared.bus.admin.connectivity import await_kafka
from shared.bus.admin.history import Ends, ends, partition_counts, read_topic, stream
from shared.bus.admin.lag import topics_with_lag
from shared.bus.admin.lookup import Lookup
from shared.bus.admin.skips import follow_skips, unreadable_at
from shared.bus.admin.topic_reader import TopicReader, reading

__all__ = [
    "Ends",
    "KafkaSurvey",
    "Lookup",
    "TopicReader",
    "await_kafka",
    "ends",
    "follow_skips",
    "newest",
    "partition_counts",
    "read_topic",
    "reading",
    "stream",
    "survey",
    "topics_with_lag",
    "unreadable_at",
]
