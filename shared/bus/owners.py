"""Owner of a record: the run whose content it holds, and under whose key it is sealed."""

import base64
from collections.abc import Mapping
from typing import Any

from pydantic_core import from_json

from schemas.envelope import HEADER
from schemas.registry import RETRIES
from schemas.run_id import RUN_ID, run_id_for
from shared.bus.groups import MEMORIES, NOTIFICATIONS, TABLE
from shared.bus.sealing import Owner

_OF_RUNS = ("runs.log", "journal", "runs", "control", "decisions", "evaluations", "tasks")
"""Topics of runs besides those of agents. All but tasks from outside have the run as key."""

_DEAD = ".dlt"
"""Suffix of dead-letter topics."""

_DEFAULT = "default"


def waits(topic: str) -> bool:
    """Return True if the topic, named without the prefix, holds timers: only the record in a timer is sealed."""
    return topic == TABLE or (topic.startswith(RETRIES) and not topic.endswith(_DEAD))


def owner_of(topic: str, key: str, headers: Mapping[str, str], value: bytes) -> Owner | None:
    """Return the owner of a record that is about to be published; None if it belongs to no run.

    `topic`: without the prefix.
    """
    origin = topic.removesuffix(_DEAD)
    if origin == NOTIFICATIONS:
        return _named(_payload(value))
    if origin == MEMORIES:
        return _of_memory(_payload(value))
    if origin not in _OF_RUNS and origin.partition(".")[0] != "agents":
        return None
    if origin == "tasks":
        return _of_task(headers, _payload(value))
    if not RUN_ID.fullmatch(key):
        return None
    named = headers if origin == topic else _original(headers)
    return Owner(named.get(HEADER["tenant"]) or str(_payload(value).get("tenant", _DEFAULT)), key)


def _named(payload: Mapping[str, Any]) -> Owner | None:
    run, tenant = payload.get("run_id"), payload.get("tenant", _DEFAULT)
    return Owner(tenant, run) if isinstance(run, str) and RUN_ID.fullmatch(run) and isinstance(tenant, str) else None


def _of_memory(payload: Mapping[str, Any]) -> Owner | None:
    """Return the owner of a memory, or of a turn: the run that it comes from, and is forgotten with."""
    memory = payload.get("memory")
    if not isinstance(memory, dict):
        return _named(payload)
    return _named({"run_id": memory.get("run"), "tenant": memory.get("tenant", _DEFAULT)})


def _of_task(headers: Mapping[str, str], task: Mapping[str, Any]) -> Owner | None:
    """Return the owner of a task that was published by its caller: the run that it became or would become."""
    tenant, key = task.get("tenant", _DEFAULT), task.get("idempotency_key")
    named = _original(headers) if "dlt-headers" in headers else headers
    id, source = named.get(HEADER["id"]), named.get(HEADER["source"])
    if not task or id is None or source is None or not isinstance(tenant, str):
        return None
    return Owner(tenant, run_id_for(tenant, key if isinstance(key, str) else None, source, id))


def _original(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Return the headers of the record that a dead letter was."""
    try:
        pairs = from_json(headers["dlt-headers"])
        return {name.lower(): base64.b64decode(each).decode(errors="replace") for name, each in pairs}
    except (ValueError, TypeError, AttributeError):
        return {}


def _payload(value: bytes) -> Mapping[str, Any]:
    try:
        payload = from_json(value)
    except ValueError:
        return {}
    return payload if isinstance(payload, dict) else {}
