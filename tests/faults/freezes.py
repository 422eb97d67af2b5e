"""Rows: processes that freeze and continue as if nothing had happened."""

import asyncio
import signal

from shared.tools import Effect
from tests.faults.kills import slow_runs
from tests.faults.plans import of_every_kind, one_call
from tests.faults.table import REAL, Action, row
from tests.faults.trial import Trial

LONGER_THAN_A_SESSION = 9.0
"""Seconds: Kafka gives a silent member's partitions away after six."""


def frozen(*names: str, seconds: float = LONGER_THAN_A_SESSION) -> Action:
    """Runs in the middle of which processes stand still."""

    async def action(trial: Trial) -> None:
        await trial.submit(*slow_runs())
        await trial.until_effects(4)
        for name in names:
            trial.outcome.faults += trial.world.signal(name, signal.SIGSTOP)
        await asyncio.sleep(seconds)
        for name in names:
            trial.world.signal(name, signal.SIGCONT)
        await trial.finish()

    return action


def zombie(service: str, point: str) -> Action:
    """A replica freezes at a point, the other takes its work over and ends it, then the first thaws."""

    async def action(trial: Trial) -> None:
        world = trial.world
        trial.spoiled = True
        await world.start_service(service, replica=".b")
        await asyncio.sleep(2)
        before = world.ordered()
        world.order(service, f"stop {point} 1")  # of the first only: the other must live to take over
        await trial.submit(*(one_call(Effect.IRREVERSIBLE) for _ in range(8)), of_every_kind())
        await trial.until_ordered(before + 1)
        trial.outcome.faults = world.ordered() - before
        await world.caller.wait(trial.tasks, 90)
        taken = all(world.caller.results[planned.id] for planned in trial.tasks)
        trial.expect(true=taken, said="the other replica did not end the work of the frozen one")
        world.signal(service, signal.SIGCONT)
        await asyncio.sleep(4)
        await trial.finish()
        rules = await world.rules()
        trial.outcome.notes.append(f"{rules['fenced']} calls fenced off at the ledger")

    return action


row("SIGSTOP of a specialist for longer than its session, then SIGCONT", may_ask=True, quick=True)(frozen("left"))
row("SIGSTOP of the orchestrator for longer than its session, then SIGCONT")(frozen("orchestrator"))
row("SIGSTOP of Redis for 9 s, then SIGCONT")(frozen("redis"))
row(
    "zombie: a specialist is frozen before its effect, thaws after its work is done",
    may_ask=True,
    brokers=REAL,
)(zombie("left", "before-effect"))
row("zombie: a specialist is frozen after its effect, before the journal", may_ask=True, brokers=REAL)(
    zombie("left", "after-effect")
)
row("zombie: an orchestrator is frozen before it writes the state", brokers=REAL)(
    zombie("orchestrator", "before-state")
)
row("zombie: an orchestrator is frozen after it writes the state, before it publishes", brokers=REAL)(
    zombie("orchestrator", "after-state")
)
