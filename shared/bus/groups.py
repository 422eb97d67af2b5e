"""Consumer groups: expected groups per topic, and their state in Kafka."""

import asyncio
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import IncompatibleBrokerVersion, KafkaError

from schemas.registry import RETRIES

EVALUATIONS = "evaluations"
"""Topic of the evaluator's findings on ended runs."""

ORCHESTRATED = ("tasks", "runs", "control", "decisions", EVALUATIONS)
"""Topics the orchestrator consumes."""

TABLE = "timers"
"""Topic of the orchestrator's timers."""

ORCHESTRATOR, TIMEKEEPER, NOTIFIER, MEMORY = "orchestrator", "timekeeper", "notifier", "memory"
ARCHIVIST, EVALUATOR = "archivist", "evaluator"

NOTIFICATIONS = "notifications"
"""Topic of the notifications that the notifier sends."""

OBSERVED = "runs.log"
"""Topic that notifier, memory service, evaluator and archivist read alongside its owner. No record returns to it."""

MEMORIES = "memories"
"""Topic of the memories, from which Postgres is filled. No record of it is retried elsewhere, or a dead letter."""

RECORDED = (OBSERVED, "journal", "control", "decisions", "stops")
"""Topics that the archivist reads alongside their owners."""

_TABLES = rf"({TABLE}|{re.escape(RETRIES)}[^.]+)"

_PAUSE = 0.1
"""Seconds between attempts."""


class GroupState(NamedTuple):
    """State of a group, in Kafka's words."""

    state: str
    members: int


def table_of(service: str) -> str:
    """Return the topic of a service's timers. Each writer has its own, which limits the timers it may set."""
    return TABLE if service == ORCHESTRATOR else RETRIES + service


def tables(prefix: str) -> str:
    """Return a regular expression for the timer topics, read from their beginning by a group that commits nothing."""
    return f"^{re.escape(prefix)}{_TABLES}$"


def observed(prefix: str) -> str:
    """Return a regular expression for the notifier's topics: the run log, its own, and dead letters of all others.

    Its own dead letters are left out: a notification about one would fail as they did.
    """
    own = f"{NOTIFICATIONS}|{re.escape(RETRIES)}{NOTIFIER}"
    return rf"^{re.escape(prefix)}({re.escape(OBSERVED)}|{NOTIFICATIONS}|(?!({own})\.dlt$).+\.dlt)$"


def groups_by_topic(prefix: str, agents: Collection[str]) -> Mapping[str, list[str]]:
    """Return the consumer groups of each topic; both names include the prefix."""
    handoffs = {f"{prefix}agents.{name}": [f"{prefix}{name}"] for name in agents}
    orchestrated = {f"{prefix}{topic}": [f"{prefix}{ORCHESTRATOR}"] for topic in ORCHESTRATED}
    waiting = {prefix + table_of(each): [f"{prefix}{TIMEKEEPER}"] for each in (ORCHESTRATOR, NOTIFIER, *agents)}
    notified = {f"{prefix}{topic}": [f"{prefix}{NOTIFIER}"] for topic in (OBSERVED, NOTIFICATIONS)}
    memories = {f"{prefix}{MEMORIES}": [f"{prefix}{MEMORY}"]}
    notified[prefix + OBSERVED] += [prefix + MEMORY, prefix + EVALUATOR]
    found = handoffs | orchestrated | waiting | notified | memories
    return found | {prefix + topic: [*found.get(prefix + topic, []), prefix + ARCHIVIST] for topic in RECORDED}


async def states_of(admin: AIOKafkaAdminClient, names: Iterable[str]) -> Mapping[str, GroupState]:
    """Return groups by name, without those Kafka reports an error for; empty if the broker cannot describe groups.

    Groups are requested one by one: aiokafka 0.14 cannot parse an answer about several.
    """
    try:
        described = [await _described(admin, name) for name in names]
    except IncompatibleBrokerVersion:
        return {}
    return {
        each["group"]: GroupState(each["state"], len(each["members"])) for each in described if each["error_code"] == 0
    }


async def _described(admin: AIOKafkaAdminClient, name: str) -> Any:
    """Describe a group, retrying while a Kafka that has just started has no coordinator yet."""
    while True:
        try:
            [answer] = await admin.describe_consumer_groups([name])
        except KafkaError as refused:
            if not refused.retriable:
                raise
            await asyncio.sleep(_PAUSE)
        else:
            return answer.to_object()["groups"][0]
