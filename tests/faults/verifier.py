"""`python -m tests.faults.verifier --seed N --minutes M`: random plans under random faults, against a model.

Each round draws plans (shape, dependencies, failures, delays, effect classes) and a schedule of faults from its seed,
carries both out on the real swarm, and compares what the ledger counted and what came back with what the model says
must, may and must not have happened. The same seed draws the same round; when exactly a fault meets a run is up to
the machine. With `--replay` every decision of the runs is decided again from the logs, and must be the same.
"""

import argparse
import asyncio
import secrets
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

from redis.exceptions import RedisError

from tests.faults import page
from tests.faults.agents import SPECIALISTS
from tests.faults.plans import Planned, random_plan
from tests.faults.replayed import Replayed, replay_runs
from tests.faults.rows import ROWS
from tests.faults.runner import Runner
from tests.faults.table import BOTH
from tests.faults.trial import Outcome, Trial
from tests.faults.world import AGENTS, CORE, World

REPLAY_AT_ONCE = 400
"""Runs to replay together: each replay reads the logs, and the embedded broker retains only the last records."""
POINTS = {
    "orchestrator": ("state", "publish", "commit"),
    "timekeeper": ("publish",),
    **dict.fromkeys(AGENTS, ("journal", "publish", "commit")),
    **dict.fromkeys(SPECIALISTS, ("effect", "journal", "publish", "commit")),
}


class Size(NamedTuple):
    """Number of tasks of a round, and the seconds over which they are submitted and faults are done."""

    tasks: int = 12
    spread: float = 6.0


USUAL = Size()


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault of a schedule."""

    at: float
    kind: str
    target: str
    detail: str = ""
    seconds: float = 0.0

    def __str__(self) -> str:
        return " ".join(filter(None, (f"{self.at:.1f}s", self.kind, self.target, self.detail)))


def drawn(random: Random, kinds: Sequence[str], spread: float = USUAL.spread) -> list[Strike]:
    """A schedule: one to five faults, in the order of their time."""
    strikes = (_strike(random, random.choice(kinds), spread) for _ in range(random.randint(1, 5)))
    return sorted(strikes, key=lambda strike: strike.at)


def _strike(random: Random, kind: str, spread: float) -> Strike:
    at, target = round(random.uniform(0.2, spread), 2), random.choice((*CORE, *AGENTS))
    if kind == "point":
        point = f"{random.choice(('before', 'after'))}-{random.choice(POINTS[target])}"
        return Strike(at, kind, target, f"{point} {random.randint(1, 4)}")
    if kind == "freeze":
        return Strike(at, kind, target, seconds=round(random.uniform(0.5, 6), 1))
    return Strike(at, kind, target if kind == "kill" else "redis")


async def _kill(world: World, strike: Strike) -> bool:
    return world.signal(strike.target, signal.SIGKILL)


async def _point(world: World, strike: Strike) -> bool:
    world.order(strike.target, f"kill {strike.detail}")
    return True


async def _freeze(world: World, strike: Strike) -> bool:
    stopped = world.signal(strike.target, signal.SIGSTOP)
    await asyncio.sleep(strike.seconds)
    world.signal(strike.target, signal.SIGCONT)
    return stopped


async def _flush(world: World, strike: Strike) -> bool:
    """Not done when Redis is just being killed."""
    with suppress(RedisError, OSError):
        return bool(await world.redis.flushall())
    return False


async def _cut(world: World, strike: Strike) -> bool:
    await world.redis_proxy.become("refuse")
    await asyncio.sleep(2)
    await world.redis_proxy.become("pass")
    return True


KINDS: dict[str, Callable[[World, Strike], Awaitable[bool]]] = {
    "kill": _kill,
    "point": _point,
    "freeze": _freeze,
    "redis-killed": _kill,
    "cut": _cut,
    "flush": _flush,
}
"""Possible faults. `point` is SIGKILL at a passage of a point, `cut` a cut connection to Redis for two seconds."""


class Round(NamedTuple):
    """Result of one round."""

    outcome: Outcome
    strikes: list[Strike]
    ends: Counter[str]
    """Ends of the runs, counted."""
    runs: frozenset[str]
    """Their ids."""


async def round_of(seed: int, world: World, kinds: Sequence[str], size: Size = USUAL) -> Round:
    """Carry out one round."""
    random = Random(seed)
    # A seed that is tried again on the same swarm must not meet its own runs.
    names = (f"task-{seed}-{number}-{secrets.token_hex(3)}" for number in range(size.tasks))
    tasks = [random_plan(random, name) for name in names]
    times = sorted(round(random.uniform(0, size.spread), 2) for _ in tasks)
    strikes = drawn(random, kinds, size.spread)
    touched = {strike.target for strike in strikes} & {*SPECIALISTS, "redis"}
    trial = Trial(world, may_ask=bool(touched))
    async with asyncio.TaskGroup() as group:
        group.create_task(_submit(trial, tasks, times))
        done = [group.create_task(_done(world, strike)) for strike in strikes]
    trial.outcome.faults = sum(task.result() for task in done)
    await trial.finish()
    results = [each for planned in tasks for each in world.caller.results[planned.id]]
    ends = Counter(str(world.caller.result(planned.id)) for planned in tasks)
    return Round(await trial.judge(), strikes, ends, frozenset(each["run_id"] for each in results))


async def _submit(trial: Trial, tasks: list[Planned], times: list[float]) -> None:
    began = time.monotonic()
    for planned, at in zip(tasks, times, strict=True):
        await asyncio.sleep(max(0.0, began + at - time.monotonic()))
        await trial.submit(planned)


async def _done(world: World, strike: Strike) -> bool:
    await asyncio.sleep(strike.at)
    return await KINDS[strike.kind](world, strike)


class Found(NamedTuple):
    """Result of some rounds."""

    rounds: int
    total: Outcome
    problems: list[str]
    """Each with its seed, or with its run."""

    def cells(self, seconds: float) -> str:
        """Return the cells of its line on the page."""
        return f"{seconds / 60:.0f} | {self.rounds} | {self.total.counted} | {len(self.problems)}"


@dataclass(slots=True)
class Verifier:
    """Runs rounds on one broker, and replays their runs if it is asked to."""

    runner: Runner
    kinds: Sequence[str]
    size: Size
    replayed: Replayed | None
    total: Outcome = field(default_factory=Outcome)
    problems: list[str] = field(default_factory=list)
    _runs: set[str] = field(default_factory=set)
    """Ids of the runs that were not replayed yet."""

    async def verify(self, seed: int, until: float, rounds: int) -> Found:
        """Run rounds with rising seeds until the time or their number is reached."""
        await self.runner.start()
        number = 0
        try:
            while number < rounds and (number == 0 or time.monotonic() < until):
                await self._round(seed + number)
                number += 1
            await self._replay()
        finally:
            await self.runner.stop()
        print(f"{number} rounds: {self.total.counted}; {len(self.problems)} problems", flush=True)
        return Found(number, self.total, self.problems)

    async def _round(self, seed: int) -> None:
        world = await self.runner.world(extras="cut" in self.kinds)
        outcome, strikes, ends, runs = await round_of(seed, world, self.kinds, self.size)
        print(f"seed {seed}: {outcome.counted} ({_ends(ends)}); {', '.join(map(str, strikes))}", flush=True)
        self._note(outcome.problems, seed)
        _add(self.total, outcome)
        self._runs |= runs
        if outcome.problems or len(self._runs) >= REPLAY_AT_ONCE:
            await self._replay()
        await (self.runner.leave() if outcome.problems else self.runner.mend())

    async def _replay(self) -> None:
        if self.replayed is not None and self._runs:
            known = len(self.replayed.problems)
            world = await self.runner.world(extras="cut" in self.kinds)
            await replay_runs(world, self._runs, self.replayed)
            print(self.replayed.counted, flush=True)
            self._note(self.replayed.problems[known:], None)
        self._runs.clear()

    def _note(self, problems: Sequence[str], seed: int | None) -> None:
        for each in problems:
            print(f"  NOT HELD: {each}", flush=True)
            self.problems.append(each if seed is None else f"seed {seed}: {each}")


def _ends(ends: Counter[str]) -> str:
    return ", ".join(f"{count} {how}" for how, count in sorted(ends.items()))


def _add(total: Outcome, one: Outcome) -> None:
    for name in ("runs", "lost", "asked", "in_vain", "effects", "twice", "repeats", "faults"):
        setattr(total, name, getattr(total, name) + getattr(one, name))


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.faults.verifier", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="of the first round; default: a new one")
    parser.add_argument("--minutes", type=float, default=None, help="how long to go on; default: one round")
    parser.add_argument("--rounds", type=int, default=None, help="at most so many rounds")
    parser.add_argument("--kafka", choices=BOTH, default="embedded")
    parser.add_argument("--faults", nargs="*", choices=list(KINDS), default=list(KINDS), help="kinds; default: all")
    parser.add_argument("--tasks", type=int, default=USUAL.tasks, help="of a round")
    parser.add_argument("--spread", type=float, default=USUAL.spread, help="seconds over which a round submits them")
    parser.add_argument("--replay", action="store_true", help="decide everything again from the logs, and compare")
    parser.add_argument("--report", action="store_true", help="enter the result into docs/reports/faults.md")
    chosen = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if chosen.seed is None else chosen.seed
    rounds = chosen.rounds or (1 if chosen.minutes is None else sys.maxsize)
    began = time.monotonic()
    until = began + 60 * (chosen.minutes or 60)
    size, replayed = Size(chosen.tasks, chosen.spread), Replayed() if chosen.replay else None
    verifier = Verifier(Runner(chosen.kafka), chosen.faults, size, replayed)
    found = asyncio.run(verifier.verify(seed, until, rounds))
    if chosen.report:
        page.write(page.read() | {(chosen.kafka,): found.cells(time.monotonic() - began)}, ROWS)
    sys.exit(1 if found.problems else 0)


if __name__ == "__main__":
    main()
