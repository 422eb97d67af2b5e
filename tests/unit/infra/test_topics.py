"""The declared topics: a table is compacted soon, and `waggle doctor` names those that are not."""

import pytest

from infra.topics import declared
from services.cli.checks.kafka import _topics
from shared.bus.admin import KafkaSurvey

TABLES = {"cards", "generations", "timers", "stops", "skips", "dead.actions", "memories"}
COMPACTED = ("segment.ms", "min.cleanable.dirty.ratio", "max.compaction.lag.ms", "delete.retention.ms")
KAFKAS_OWN = {
    "segment.ms": "604800000",
    "min.cleanable.dirty.ratio": "0.5",
    "max.compaction.lag.ms": "9223372036854775807",
    "delete.retention.ms": "86400000",
}


def survey(**changed: dict[str, str]) -> KafkaSurvey:
    topics = {topic.name: topic for topic in declared()}
    settings = {name: topic.settings | changed.get(name, {}) for name, topic in topics.items()}
    partitions = {name: topic.partitions for name, topic in topics.items()}
    return KafkaSurvey(1, embedded=False, at_least=(3, 9), partitions=partitions, settings=settings)


def test_every_table_is_compacted_within_hours_and_nothing_else_is():
    found = {topic.name for topic in declared() if topic.settings["cleanup.policy"] == "compact"}
    assert {name for name in found if not name.startswith("retries.")} == TABLES
    for topic in declared():
        assert all((name in topic.settings) == (topic.name in found) for name in COMPACTED), topic.name
        if topic.name in found:
            assert int(topic.settings["max.compaction.lag.ms"]) <= 24 * 3_600_000
            assert 0 < int(topic.settings["segment.ms"]) <= int(topic.settings["max.compaction.lag.ms"])


def test_topics_as_declared_are_fine():
    [found] = _topics(survey())
    assert found.level == "ok"


def test_a_table_with_kafkas_own_settings_is_found_with_what_to_set():
    [found] = _topics(survey(timers=KAFKAS_OWN))
    assert (found.level, found.subject) == ("warn", "topic timers")
    for each in ("segment.ms=3600000", "min.cleanable.dirty.ratio=0.2", "max.compaction.lag.ms=21600000"):
        assert each in found.do


@pytest.mark.parametrize("stricter", [{"segment.ms": "60000"}, {"min.cleanable.dirty.ratio": "0.01"}])
def test_a_table_that_is_compacted_earlier_is_fine(stricter):
    [found] = _topics(survey(timers=stricter))
    assert found.level == "ok"
