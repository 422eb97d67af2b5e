"""Topics declared in `topics.toml`, and their creation on a Kafka: `python -m infra.topics [AGENT …]`."""

import asyncio
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaClient
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from shared.bus.security import secured
from shared.config import Settings, read_settings

_DECLARATION = Path(__file__).with_name("topics.toml")
_OF_EACH_AGENT = ("agents", "retries")
_SERVICES = Path(__file__).parents[1] / "services"


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic, its name without the prefix."""

    name: str
    partitions: int
    retention_hours: int
    cleanup: str
    max_message_bytes: int
    compression: str
    """Compression: `producer` keeps the sender's; gzip can be read by every client."""
    arrivals: bool = False
    """True if Kafka sets a record's time on arrival, rather than the sender."""
    segment_hours: int = 0
    """Of a table: hours after which a segment is closed and can be compacted."""
    dirty_ratio: float = 0.0
    """Of a table: share of new records that triggers compaction."""
    lag_hours: int = 0
    """Of a table: hours after which it is compacted, however few records are new."""
    erased_hours: int = 0
    """Of a table: hours of retention of a record that erases a key; a slower reader misses it."""

    @property
    def settings(self) -> dict[str, str]:
        """Return the settings under Kafka's names."""
        return {
            "retention.ms": _ms(self.retention_hours),
            "cleanup.policy": self.cleanup,
            "max.message.bytes": str(self.max_message_bytes),
            "compression.type": self.compression,
            **({"message.timestamp.type": "LogAppendTime"} if self.arrivals else {}),
            **self.compaction,
        }

    @property
    def compaction(self) -> dict[str, str]:
        """Return settings that keep a table close to its content; empty for other topics."""
        if not self.segment_hours:
            return {}
        return {
            "segment.ms": _ms(self.segment_hours),
            "min.cleanable.dirty.ratio": str(self.dirty_ratio),
            "max.compaction.lag.ms": _ms(self.lag_hours),
            "delete.retention.ms": _ms(self.erased_hours),
        }


def _ms(hours: int) -> str:
    return str(hours * 3_600_000)


def agents(services: Path = _SERVICES) -> list[str]:
    """Return the agents: every service folder that declares one."""
    return sorted(path.parent.name for path in services.glob("*/agent.py"))


def declared(names: Iterable[str] | None = None) -> list[Topic]:
    """Return every declared topic, with one of each kind for each agent."""
    content = tomllib.loads(_DECLARATION.read_text())
    known = agents() if names is None else list(names)
    usual = {"delete": content["defaults"], "compact": content["defaults"] | content["tables"]}
    return [
        Topic(name=each, **(usual[changes.get("cleanup", "delete")] | changes))
        for template, changes in content["topics"].items()
        for each in _expanded(template, known)
    ]


def _expanded(template: str, known: Iterable[str]) -> list[str]:
    root, _, rest = template.partition(".")
    if root not in _OF_EACH_AGENT or rest not in ("", "dlt"):
        return [template]
    return [".".join(filter(None, (root, name, rest))) for name in known]


async def create(
    bootstrap: str, prefix: str, topics: Iterable[Topic], *, secured: Mapping[str, Any] | None = None
) -> list[str]:
    """Create missing topics and return their names; `secured` is `shared.bus.security.secured`.

    The embedded broker has no controller: topics appear on first request, which is done here.
    Raises ConnectionError when Kafka is unreachable, KafkaError when it refuses.
    """
    connection: dict[str, Any] = {"bootstrap_servers": bootstrap.split(","), **(secured or {})}
    client = AIOKafkaClient(**connection)
    try:
        await client.bootstrap()
        if client.cluster.controller is None:
            await client.set_topics([prefix + topic.name for topic in topics])
            return []
    except KafkaError as away:
        raise ConnectionError(f"no Kafka at {bootstrap}: is it running, and is WAGGLE_KAFKA right?") from away
    finally:
        await client.close()
    return await _create(connection, prefix, topics)


async def _create(connection: Mapping[str, Any], prefix: str, topics: Iterable[Topic]) -> list[str]:
    wanted = [NewTopic(prefix + t.name, t.partitions, 1, topic_configs=t.settings) for t in topics]
    admin = AIOKafkaAdminClient(**connection)
    await admin.start()
    try:
        answer = await admin.create_topics(wanted)
    finally:
        await admin.close()
    return [name for name, code, *_ in answer.topic_errors if _is_new(name, code)]


def _is_new(name: str, code: int) -> bool:
    if code == 0:
        return True
    if for_code(code) is TopicAlreadyExistsError:
        return False
    raise for_code(code)(f"topic {name}")


def main() -> None:
    """Create the missing topics on the configured Kafka, also of the named agents outside this repository."""
    settings = read_settings(Settings)
    wanted = declared([*agents(), *sys.argv[1:]])
    try:
        made = asyncio.run(create(settings.kafka, settings.topic_prefix, wanted, secured=secured(settings)))
    except (ConnectionError, KafkaError) as failed:
        sys.exit(str(failed))
    print(f"Created {len(made)} topics of {len(wanted)} on {settings.kafka}.")


if __name__ == "__main__":
    main()
