"""Kafka permissions of each service: exactly what it uses."""

from collections.abc import Iterable
from dataclasses import dataclass

from infra.manifests import code
from infra.topics import agents, declared
from shared.bus.groups import (
    ARCHIVIST,
    EVALUATOR,
    MEMORIES,
    MEMORY,
    NOTIFICATIONS,
    NOTIFIER,
    OBSERVED,
    ORCHESTRATOR,
    TIMEKEEPER,
    table_of,
)

DEAD = ".dlt"


@dataclass(frozen=True, slots=True)
class Access:
    """Topics, without the prefix."""

    reads: frozenset[str]
    writes: frozenset[str]
    group: str | None
    """Consumer group; None for a service without one."""

    looks: bool = False
    """True if it may see the lag of every group."""

    deletes: frozenset[str] = frozenset()
    """Topics whose old records it may delete."""


def access(service: str) -> Access:
    """Return the permissions of one service."""
    match service:
        case "gateway":
            return _gateway()
        case "console":
            return Access(frozenset(), frozenset(), None)  # it talks to the gateway only
        case _ if service == MEMORY:
            return _memory()
        case _ if service == ARCHIVIST:
            return Access(code.published(service, "receives"), frozenset(), service)
        case _ if service == EVALUATOR:
            return Access(code.published(service, "receives"), code.published(service, "sends"), service)
        case _ if service == NOTIFIER:
            return _notifier()
        case _ if service == TIMEKEEPER:
            tables = frozenset(code.consumed()[service])
            said = code.published(service, "receives") - {"retries"} | tables
            return Access(frozenset(said), _work() | tables | {topic + DEAD for topic in tables}, service)
        case _ if service == ORCHESTRATOR:
            said = code.published(service, "receives") | set(code.consumed()[service])
            return Access(frozenset(said), _written(service, service), service)
    followed = code.published("agent", "receives") - {"agents"}
    return Access(frozenset(followed | set(code.consumed()[service])), _written("agent", service), service)


def _notifier() -> Access:
    """The notifier reads every dead letter but those of its own notifications, and writes only notifications."""
    own = {NOTIFICATIONS + DEAD, table_of(NOTIFIER) + DEAD}
    dead = {topic.name for topic in declared() if topic.name.endswith(DEAD)} - own
    said = code.published(NOTIFIER, "receives") - {"dead-letters"}
    return Access(
        frozenset(said | dead), frozenset({NOTIFICATIONS, table_of(NOTIFIER), NOTIFICATIONS + DEAD}), NOTIFIER
    )


def _memory() -> Access:
    """The memory service forgets: it looks for clear records of a run everywhere, and deletes those of work."""
    kept = {topic.name for topic in declared() if topic.cleanup == "compact" and not topic.name.startswith("retries")}
    work = {name for name in _work() if not name.startswith("retries")} - kept
    read = frozenset(topic.name for topic in declared()) - (kept - {"timers"})
    return Access(
        reads=code.published("memory", "receives") | read,
        writes=code.published("memory", "sends"),
        group="memory",
        looks=True,
        deletes=frozenset(work | {"results"}),
    )


def _gateway() -> Access:
    """The gateway redrives: a dead letter returns to its topic."""
    dead = {topic.name for topic in declared() if topic.name.endswith(DEAD)}
    return Access(
        reads=frozenset(code.published("gateway", "receives") | dead),
        writes=_each_agent(code.published("gateway", "sends")) | _redrivable(),
        group=None,
        looks=True,
    )


def _written(role: str, service: str) -> frozenset[str]:
    """Return the topics a service writes: its messages, its own timers and its dead letters."""
    dead = {topic + DEAD for topic in code.consumed()[service]}
    return _each_agent(code.published(role, "sends") - {"retries"}) | {table_of(service)} | dead


def _work() -> frozenset[str]:
    """Delayed records return to their topics: every topic with a committing consumer that owns it."""
    owners = code.committing() - {ARCHIVIST, EVALUATOR}
    return frozenset(topic for service in owners for topic in code.consumed()[service]) - {OBSERVED, MEMORIES}


def _redrivable() -> frozenset[str]:
    """Return the topics that have dead letters."""
    return frozenset(topic.name.removesuffix(DEAD) for topic in declared() if topic.name.endswith(DEAD))


def _each_agent(topics: Iterable[str]) -> frozenset[str]:
    """Replace `agents` by one topic for each agent."""
    handoffs = {f"agents.{name}" for name in agents()}
    return frozenset({each for each in topics if each != "agents"} | (handoffs if "agents" in topics else set()))
