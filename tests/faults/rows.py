"""The table of faults: one row a fault, with its invariant and with where it does not hold."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from shared.tools import Effect
from tests.faults.plans import of_every_kind, one_call
from tests.faults.trial import Trial

BOTH = ("embedded", "real")
NOTHING_LOST = "every task has one result, no effect is doubled"
"""What every row holds to: one result for each task, the one its plan leads to; no compensable or irreversible call
twice, no idempotent one under a second key; nothing out of order, nothing in vain."""


class NotRun(Exception):
    """The row cannot be run here; the message says why."""


Action = Callable[[Trial], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Row:
    """One fault."""

    name: str
    do: Action
    brokers: tuple[str, ...] = BOTH
    invariant: str = NOTHING_LOST
    breaks: Mapping[str, str] = field(default_factory=dict)
    """Broker → why it does not hold there."""
    may_ask: bool = False
    quick: bool = False
    """Part of what CI runs on every change."""
    extras: bool = False
    """It needs Postgres and the model."""


ROWS: list[Row] = []


def row(name: str, **facts: object) -> Callable[[Action], Action]:
    """Add a row to the table."""

    def add(action: Action) -> Action:
        ROWS.append(Row(name, action, **facts))
        return action

    return add


def killed_at(services: tuple[str, ...], point: str, times: int) -> Action:
    """Tasks while services are killed at the first, second … passage of a point, one after another."""

    async def action(trial: Trial) -> None:
        for service in services:
            trial.world.order(service, *(f"kill {point} {number}" for number in range(1, times + 1)))
        before = trial.world.ordered()
        await trial.submit(*(of_every_kind() for _ in range(5)))
        await trial.finish()
        while trial.world.ordered() < before + times * len(services):
            await trial.submit(of_every_kind())
            await trial.finish()
        trial.outcome.faults = trial.world.ordered() - before

    return action


for _point in ("effect", "journal", "publish", "commit"):
    for _when in ("before", "after"):
        ROWS.append(
            Row(
                f"SIGKILL of a specialist {_when} {_point}",
                killed_at(("left",), f"{_when}-{_point}", 3),
                may_ask=True,
                quick=f"{_when}-{_point}" in ("after-effect", "after-journal"),
            )
        )
for _point in ("journal", "publish", "commit"):
    for _when in ("before", "after"):
        ROWS.append(
            Row(
                f"SIGKILL of planner and reviewer {_when} {_point}",
                killed_at(("planner", "reviewer"), f"{_when}-{_point}", 2),
            )
        )
for _point in ("state", "publish", "commit"):
    for _when in ("before", "after"):
        ROWS.append(
            Row(
                f"SIGKILL of the orchestrator {_when} {_point}",
                killed_at(("orchestrator",), f"{_when}-{_point}", 4),
                quick=f"{_when}-{_point}" == "after-state",
            )
        )


@row("SIGKILL of every service at once, in the middle of runs", may_ask=True, quick=True)
async def everything_killed(trial: Trial) -> None:
    await trial.submit(*(of_every_kind(0.3) for _ in range(8)))
    await trial.until_effects(4)
    for name in trial.world.children.keys() - {"redis", "ledger"}:
        trial.outcome.faults += trial.world.signal(name, signal.SIGKILL)
    await trial.finish()


@row("SIGTERM of every service, one after another, in the middle of runs", may_ask=True)
async def rolling_restart(trial: Trial) -> None:
    await trial.submit(*(of_every_kind(0.5) for _ in range(8)))
    await trial.until_effects(4)
    for name in sorted(trial.world.children.keys() - {"redis", "ledger"}):
        trial.outcome.faults += trial.world.signal(name, signal.SIGTERM)
        await asyncio.sleep(0.5)
    await trial.finish()


@row("a step fails, retryably, after its effects")
async def failing_late(trial: Trial) -> None:
    await trial.submit(*(one_call(effect, fails_late=1) for effect in Effect))
    trial.outcome.faults = len(trial.tasks)
    await trial.finish()
