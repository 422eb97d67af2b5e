"""One fault, tried and counted: the tasks of a row, what happened to them, and what of it must not have happened."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.faults.plans import ONCE, Planned, problems
from tests.faults.world import World

SETTLE = 1.0
"""Seconds for late arrivals after the last result: a second result, an effect of a zombie."""


@dataclass(slots=True)
class Outcome:
    """Counted effects."""

    runs: int = 0
    lost: int = 0
    asked: int = 0
    """Runs that asked a person whether a call had happened. The person looks into the ledger and says so."""
    in_vain: int = 0
    """Calls that were asked about and had not happened."""
    effects: int = 0
    twice: int = 0
    """Operations that were done more often than their class allows."""
    repeats: int = 0
    """Results delivered again, equal and under the same id: consumers drop them."""
    faults: int = 0
    """Number of times the fault was really injected."""
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """Violations of the invariant; empty: it held."""

    @property
    def counted(self) -> str:
        """As one line."""
        parts = [f"{self.runs} runs, {self.lost} lost", f"{self.effects} effects, {self.twice} duplicated"]
        parts += (
            [f"{self.asked} asked a person, {self.in_vain} of them about a call that was not made"]
            if self.asked
            else []
        )
        parts += [f"{self.repeats} results published twice"] if self.repeats else []
        parts += [f"{self.faults} faults"] if self.faults else []
        return "; ".join([*parts, *self.notes])

    def plain(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(slots=True)
class Trial:
    """Tools of a row's action."""

    world: World
    may_ask: bool = False
    """True if a call with an unknowable outcome may be left."""
    letters: int = 0
    """Number of dead letters there must be."""
    spoiled: bool = False
    """True if the world is of no use to the next row."""
    tasks: list[Planned] = field(default_factory=list)
    _letters_before: int = 0
    _in_vain_before: int = 0
    outcome: Outcome = field(default_factory=Outcome)

    def __post_init__(self) -> None:
        self._letters_before = len(self.world.caller.letters)
        self._in_vain_before = self.world.caller.in_vain

    def own_letters(self) -> list[Any]:
        """The dead letters since the row began."""
        return self.world.caller.letters[self._letters_before :]

    async def submit(self, *planned: Planned, **task: Any) -> None:
        """Have the caller submit tasks."""
        self.tasks += planned
        for each in planned:
            await self.world.caller.submit(each, **task)

    async def until_effects(self, count: int, within: float = 30.0) -> None:
        """Return when the ledger has counted so many calls of this row: the runs are in the middle."""

        async def counted() -> int:
            return len(await self.effects())

        await self._until(counted, count, within, "effects were counted")

    async def until_ordered(self, count: int, within: float = 60.0) -> None:
        """Return when so many orders were carried out in all."""

        async def ordered() -> int:
            return self.world.ordered()

        await self._until(ordered, count, within, "orders were carried out")

    async def _until(self, counted: Callable[[], Awaitable[int]], count: int, within: float, what: str) -> None:
        """Return when there are so many, or when the time is over: that is noted."""
        until = time.monotonic() + within
        while (found := await counted()) < count and time.monotonic() < until:
            await asyncio.sleep(0.02)
        self.expect(true=found >= count, said=f"only {found} of {count} {what}")

    def expect(self, *, true: bool, said: str) -> None:
        """Note what did not hold."""
        if not true:
            self.outcome.problems.append(said)

    async def finish(self, within: float = 240.0) -> None:
        """Wait for the results and judge everything."""
        await self.world.caller.wait(self.tasks, within)
        await asyncio.sleep(SETTLE)

    async def judge(self) -> Outcome:
        """Compare what was counted with what must have happened."""
        outcome, caller, effects = self.outcome, self.world.caller, await self.effects()
        for planned in self.tasks:
            results = caller.results[planned.id]
            asked = bool(caller.asked & {result["run_id"] for result in results})
            own = [each for each in effects if each["op"].startswith(planned.id + "/")]
            outcome.runs += 1
            outcome.lost += not results
            outcome.asked += asked
            outcome.repeats += max(0, len(results) - 1)
            outcome.effects += len({(each["op"], each["key"]) for each in own})
            outcome.twice += _twice(planned, own)
            found = problems(planned, caller.result(planned.id), own, asked=asked)
            outcome.problems += found + ([f"{planned.id} asked a person"] if asked and not self.may_ask else [])
        outcome.in_vain = caller.in_vain - self._in_vain_before
        letters = self.own_letters()
        reasons = sorted({dict(letter.headers)["dlt-error"].decode() for letter in letters})
        said = f"{len(letters)} dead letters, not {self.letters} ({', '.join(reasons)})"
        self.expect(true=len(letters) == self.letters, said=said)
        self.expect(true=outcome.faults > 0, said="the fault was not done")
        return outcome

    async def effects(self) -> list[dict[str, Any]]:
        """Effects that the ledger counted for the tasks of this row."""
        ids = {planned.id for planned in self.tasks}
        return [each for each in await self.world.effects("task-") if each["op"].partition("/")[0] in ids]


def _twice(planned: Planned, counted: list[dict[str, Any]]) -> int:
    """Operations done twice: a call that must not be repeated, or an idempotent one under another key."""
    found = 0
    for op, call in planned.calls.items():
        of_op = [each["key"] for each in counted if each["op"] == op]
        found += len(of_op) > 1 if call.effect in ONCE else call.effect == "idempotent" and len(set(of_op)) > 1
    return found
