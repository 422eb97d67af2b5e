"""What each service may do on Kafka: what it does, and nothing else."""

from collections.abc import Iterable
from dataclasses import dataclass

from infra.manifests import code
from infra.topics import agents, declared
from shared.bus.groups import ORCHESTRATOR, TIMEKEEPER, table_of

DEAD = ".dlt"


@dataclass(frozen=True, slots=True)
class Access:
    """Topics without the prefix."""

    reads: frozenset[str]
    writes: frozenset[str]
    group: str | None
    """The group it consumes in; None for who has none."""

    looks: bool = False
    """Whether it may see how far behind every group is."""


def access(service: str) -> Access:
    """Of one service."""
    match service:
        case "gateway":
            return _gateway()
        case _ if service == TIMEKEEPER:
            tables = frozenset(code.consumed()[service])
            said = code.published(service, "receives") - {"retries"} | tables
            return Access(frozenset(said), _work() | tables | {topic + DEAD for topic in tables}, service)
        case _ if service == ORCHESTRATOR:
            said = code.published(service, "receives") | set(code.consumed()[service])
            return Access(frozenset(said), _written(service, service), service)
    followed = code.published("agent", "receives") - {"agents"}
    return Access(frozenset(followed | set(code.consumed()[service])), _written("agent", service), service)


def _gateway() -> Access:
    """It redrives: a dead letter goes back to the topic it was in."""
    dead = {topic.name for topic in declared() if topic.name.endswith(DEAD)}
    return Access(
        reads=frozenset(code.published("gateway", "receives") | dead),
        writes=_each_agent(code.published("gateway", "sends")) | _redrivable(),
        group=None,
        looks=True,
    )


def _written(role: str, service: str) -> frozenset[str]:
    """Topics a service writes: its messages, its own timers and its dead letters."""
    dead = {topic + DEAD for topic in code.consumed()[service]}
    return _each_agent(code.published(role, "sends") - {"retries"}) | {table_of(service)} | dead


def _work() -> frozenset[str]:
    """Whatever waits is put back where it belongs: wherever somebody commits."""
    return frozenset(topic for service in code.committing() for topic in code.consumed()[service])


def _redrivable() -> frozenset[str]:
    """The topics that have dead letters."""
    return frozenset(topic.name.removesuffix(DEAD) for topic in declared() if topic.name.endswith(DEAD))


def _each_agent(topics: Iterable[str]) -> frozenset[str]:
    """`agents` stands for one topic for each agent."""
    handoffs = {f"agents.{name}" for name in agents()}
    return frozenset({each for each in topics if each != "agents"} | (handoffs if "agents" in topics else set()))
