"""Rows: processes that end, at every boundary of a step and in the middle of their work."""

import asyncio
import signal
from collections.abc import Callable

from shared.tools import Effect
from tests.faults.plans import Planned, in_two_ends, of_every_kind, one_call
from tests.faults.table import Action, row
from tests.faults.trial import Trial
from tests.faults.world import CORE

OUTSIDE = frozenset({"redis", "ledger"})
"""Processes of a world that are no services."""

WAITING = "timekeeper" if "timekeeper" in CORE else "orchestrator"
"""Services that fire waiting records."""


def killed_at(services: tuple[str, ...], point: str, times: int, task: Callable[[], Planned] = of_every_kind) -> Action:
    """Tasks while services are killed at the first, second … passage of a point, one after another."""

    async def action(trial: Trial) -> None:
        for service in services:
            trial.world.order(service, *(f"kill {point} {number}" for number in range(1, times + 1)))
        before, wanted = trial.world.ordered(), times * len(services)
        await trial.submit(*(task() for _ in range(5)))
        await trial.finish()
        for _ in range(wanted):
            if trial.world.ordered() - before < wanted:
                await trial.submit(task())
                await trial.finish()
        trial.outcome.faults = trial.world.ordered() - before
        trial.expect(true=trial.outcome.faults == wanted, said=f"killed {trial.outcome.faults} times, not {wanted}")

    return action


def killed_in_call(when: str, *effects: Effect) -> Action:
    """Tasks whose call kills its caller, `before` or `after` the ledger has counted it."""

    async def action(trial: Trial) -> None:
        tasks = [one_call(effect) for effect in effects]
        for planned in tasks:
            for op in planned.calls:
                await trial.world.rule(op, "kill", when)
        await trial.submit(*tasks)
        await trial.finish()
        trial.outcome.faults = (await trial.world.rules())["done"]

    return action


for _when in ("before", "after"):
    for _point in ("journal", "publish", "commit"):
        row(f"SIGKILL of a specialist {_when} {_point}", may_ask=True, quick=f"{_when} {_point}" == "after journal")(
            killed_at(("left",), f"{_when}-{_point}", 3)
        )
    row(f"SIGKILL of a specialist {_when} the effect of a read and of an idempotent call")(
        killed_in_call(_when, Effect.READ, Effect.IDEMPOTENT)
    )
    row(
        f"SIGKILL of a specialist {_when} the effect of a compensable and of an irreversible call",
        may_ask=True,
        quick=_when == "after",
    )(killed_in_call(_when, Effect.COMPENSABLE, Effect.IRREVERSIBLE))
    for _point in ("journal", "publish", "commit"):
        row(f"SIGKILL of planner and reviewer {_when} {_point}")(
            killed_at(("planner", "reviewer"), f"{_when}-{_point}", 2)
        )
        row(f"SIGKILL of the writer {_when} {_point}", quick=f"{_when} {_point}" == "after journal")(
            killed_at(("writer",), f"{_when}-{_point}", 2, in_two_ends)
        )
    for _point in ("state", "publish", "commit"):
        row(f"SIGKILL of the orchestrator {_when} {_point}", quick=f"{_when} {_point}" == "after state")(
            killed_at(("orchestrator",), f"{_when}-{_point}", 4)
        )


def gateway_killed(when: str) -> Action:
    """Tasks posted under a key, while the gateway is killed around its publish."""

    async def action(trial: Trial) -> None:
        world, tasks = trial.world, slow_runs(4, 0.0)
        trial.spoiled = True
        trial.tasks += tasks
        await world.start_service("gateway")
        before = world.ordered()
        world.order("gateway", *(f"kill {when}-publish {number}" for number in (1, 2)))
        for planned in tasks:
            await world.caller.submit_to(world.urls["gateway"], planned)
        trial.outcome.faults = world.ordered() - before
        trial.expect(true=trial.outcome.faults == 2, said=f"killed {trial.outcome.faults} times, not 2")
        await trial.finish()

    return action


for _when in ("before", "after"):
    row(f"SIGKILL of the gateway {_when} publish")(gateway_killed(_when))


@row("SIGKILL of the timekeeper while retries are scheduled")
async def timekeeper_killed(trial: Trial) -> None:
    await trial.submit(*(one_call(Effect.READ, fails=1) for _ in range(5)))
    await asyncio.sleep(1)
    trial.outcome.faults += trial.world.signal(WAITING, signal.SIGKILL)
    await trial.finish()


@row("SIGKILL of all services at once during runs", may_ask=True, quick=True)
async def everything_killed(trial: Trial) -> None:
    await trial.submit(*slow_runs())
    await trial.until_effects(4)
    for name in trial.world.children.keys() - OUTSIDE:
        trial.outcome.faults += trial.world.signal(name, signal.SIGKILL)
    await trial.finish()


@row("SIGTERM of all services, one after another, during runs")
async def rolling_restart(trial: Trial) -> None:
    await trial.submit(*slow_runs())
    await trial.until_effects(4)
    for name in sorted(trial.world.children.keys() - OUTSIDE):
        trial.outcome.faults += trial.world.signal(name, signal.SIGTERM)
        await asyncio.sleep(0.5)
    await trial.finish()


def slow_runs(count: int = 8, delay: float = 0.4) -> list[Planned]:
    """Runs that take a while, so that there is a middle of them."""
    return [of_every_kind(delay) for _ in range(count)]
