"""A row of the table of faults, and the table while it is assembled."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.faults.trial import Trial

BOTH = ("embedded", "real")
REAL = ("real",)
KEPT = "one result per task, no effect twice"
"""Invariant of most rows: one result for each task, the one its plan leads to; no compensable or irreversible call
twice, no idempotent one under a second key; nothing out of order, nothing in vain."""

Action = Callable[[Trial], Awaitable[None]]


class NotRun(Exception):
    """The row cannot be run here; the message says why."""


@dataclass(frozen=True, slots=True)
class Row:
    """One fault."""

    name: str
    do: Action
    brokers: tuple[str, ...] = BOTH
    invariant: str = KEPT
    breaks: Mapping[str, str] = field(default_factory=dict)
    """Broker → why the invariant does not hold there."""
    may_ask: bool = False
    """True if a call with an unknowable outcome may be left."""
    quick: bool = False
    """Part of what CI runs on every change."""
    extras: bool = False
    """It needs Postgres, the model or a proxy."""


ROWS: list[Row] = []


def row(name: str, **facts: Any) -> Callable[[Action], Action]:
    """Add a row to the table."""

    def add(action: Action) -> Action:
        ROWS.append(Row(name, action, **facts))
        return action

    return add
