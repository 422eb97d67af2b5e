"""Consumer groups: which there should be, and whether anybody is in them."""

import asyncio
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import IncompatibleBrokerVersion, KafkaError

from schemas.registry import RETRIES

ORCHESTRATED = ("tasks", "runs", "control", "decisions")
"""The topics that the orchestrator consumes."""

TABLE = "timers"
"""The topic in which the orchestrator has records wait."""

ORCHESTRATOR, TIMEKEEPER = "orchestrator", "timekeeper"

_TABLES = rf"({TABLE}|{re.escape(RETRIES)}[^.]+)"

_PAUSE = 0.1
"""Seconds between tries."""


class GroupState(NamedTuple):
    """A group as Kafka describes it."""

    state: str
    members: int


def table_of(service: str) -> str:
    """The topic in which a service has records wait: each writer has its own, and what it may set is limited by it."""
    return TABLE if service == ORCHESTRATOR else RETRIES + service


def tables(prefix: str) -> str:
    """Regular expression for the topics that the timekeeper reads from their beginning; its group commits nothing."""
    return f"^{re.escape(prefix)}{_TABLES}$"


def groups_by_topic(prefix: str, agents: Collection[str]) -> Mapping[str, list[str]]:
    """The consumer groups of each topic; both names begin with the prefix."""
    handoffs = {f"{prefix}agents.{name}": [f"{prefix}{name}"] for name in agents}
    orchestrated = {f"{prefix}{topic}": [f"{prefix}{ORCHESTRATOR}"] for topic in ORCHESTRATED}
    waiting = {prefix + table_of(each): [f"{prefix}{TIMEKEEPER}"] for each in (ORCHESTRATOR, *agents)}
    return handoffs | orchestrated | waiting


async def states_of(admin: AIOKafkaAdminClient, names: Iterable[str]) -> Mapping[str, GroupState]:
    """The groups by name, without those Kafka does not tell us about; none when it cannot describe any at all.

    One is asked for after the other: aiokafka 0.14 cannot read an answer about several.
    """
    try:
        described = [await _described(admin, name) for name in names]
    except IncompatibleBrokerVersion:
        return {}
    return {
        each["group"]: GroupState(each["state"], len(each["members"])) for each in described if each["error_code"] == 0
    }


async def _described(admin: AIOKafkaAdminClient, name: str) -> Any:
    """A Kafka that has just started has no coordinator for a moment: it is asked again until it has."""
    while True:
        try:
            [answer] = await admin.describe_consumer_groups([name])
        except KafkaError as refused:
            if not refused.retriable:
                raise
            await asyncio.sleep(_PAUSE)
        else:
            return answer.to_object()["groups"][0]
