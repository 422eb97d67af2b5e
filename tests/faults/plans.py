"""Plans of the fault tests, and the model of what must have happened when one was carried out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import Any
from uuid import uuid4

from shared.runs.run import MAX_ATTEMPTS
from shared.tools import Effect
from tests.faults.agents import SPECIALISTS

ONCE = frozenset({Effect.COMPENSABLE, Effect.IRREVERSIBLE})
"""Calls that must not be repeated under any key."""


@dataclass(slots=True)
class Call:
    """One call of a tool in a step, after so many seconds."""

    op: str
    effect: Effect
    delay: float = 0.0


@dataclass(slots=True)
class Step:
    """Work of a specialist in a step."""

    agent: str
    calls: list[Call] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    fails: int = 0
    """Number of attempts that fail, retryably, before they do anything."""
    fails_late: int = 0
    """Number of attempts that fail, retryably, after all of their calls."""
    dies: bool = False
    """Fails for good, before it does anything."""
    thinks: bool = False
    keeps: int = 0
    """Bytes of the file it makes."""

    @property
    def fails_for_good(self) -> bool:
        return self.dies or max(self.fails, self.fails_late) >= MAX_ATTEMPTS


@dataclass(slots=True)
class Planned:
    """A task of the fault tests."""

    id: str
    steps: dict[str, Step]

    @property
    def status(self) -> str:
        """Expected text of the result."""
        return "failed" if any(step.fails_for_good for step in self.steps.values()) else "complete"

    @property
    def calls(self) -> dict[str, Call]:
        """Every call by its operation."""
        return {call.op: call for step in self.steps.values() for call in step.calls}

    def data(self) -> dict[str, Any]:
        """As the task's context carries it."""
        return {name: {**_plain(step), "calls": [_plain(call) for call in step.calls]} for name, step in self._items()}

    def _items(self) -> Iterable[tuple[str, Step]]:
        return self.steps.items()

    def must_happen(self) -> set[str]:
        """Operations that have happened once the result is there, in any order of steps."""
        certain = self.steps if self.status == "complete" else self._before_the_failures()
        return {call.op for name in certain for call in self.steps[name].calls}

    def may_happen(self) -> set[str]:
        """Operations that can have happened at all: none of a step that fails early, none behind a failure."""
        never = {name for name, step in self.steps.items() if step.dies or step.fails >= MAX_ATTEMPTS}
        behind = {n for n in self.steps if any(self.steps[a].fails_for_good for a in self._ancestors(n))}
        return {call.op for name in self.steps.keys() - never - behind for call in self.steps[name].calls}

    def _before_the_failures(self) -> set[str]:
        """With one failure, its ancestors are done for certain; with several, only one of them was reached."""
        failing = [name for name, step in self.steps.items() if step.fails_for_good]
        sets = [self._ancestors(name) for name in failing if not self._fails_before(name)]
        return set.intersection(*sets) if sets else set()

    def _fails_before(self, name: str) -> bool:
        return any(self.steps[each].fails_for_good for each in self._ancestors(name))

    def _ancestors(self, name: str) -> set[str]:
        direct = set(self.steps[name].after)
        return direct.union(*(self._ancestors(each) for each in direct)) if direct else set()

    def order(self) -> Iterable[tuple[str, str]]:
        """Pairs of operations of which the first comes before the second."""
        for name, step in self.steps.items():
            ops = [call.op for call in step.calls]
            yield from pairwise(ops)
            for before in self._ancestors(name):
                yield from ((call.op, op) for call in self.steps[before].calls for op in ops)


def _plain(part: Step | Call) -> dict[str, Any]:
    return {name: getattr(part, name) for name in part.__slots__ if name != "calls"}


def one_call(effect: Effect, *, delay: float = 0.0, **step: Any) -> Planned:
    """A task of one step with one call."""
    task_id = f"task-{uuid4().hex[:12]}"
    return Planned(task_id, {"only": Step("left", [Call(f"{task_id}/only", effect, delay)], **step)})


def of_every_kind(delay: float = 0.0, **last: Any) -> Planned:
    """A task with a call of each effect class, over both specialists: two steps at once, then one more.

    Each call comes after `delay` seconds; `last` says more about the last step.
    """
    task_id = f"task-{uuid4().hex[:12]}"

    def call(name: str, effect: Effect) -> Call:
        return Call(f"{task_id}/{name}", effect, delay)

    return Planned(
        task_id,
        {
            "one": Step("left", [call("read", Effect.READ), call("put", Effect.IDEMPOTENT)]),
            "two": Step("right", [call("book", Effect.COMPENSABLE)]),
            "three": Step("left", [call("send", Effect.IRREVERSIBLE)], after=["one", "two"], **last),
        },
    )


def in_two_ends() -> Planned:
    """A task of two steps at once, whose outputs a writer makes one answer."""
    task_id = f"task-{uuid4().hex[:12]}"
    calls = {"one": Call(f"{task_id}/put", Effect.IDEMPOTENT), "two": Call(f"{task_id}/book", Effect.COMPENSABLE)}
    agents = zip(SPECIALISTS, calls.items(), strict=False)
    return Planned(task_id, {name: Step(agent, [call]) for agent, (name, call) in agents})


def random_plan(random: Random, task_id: str) -> Planned:
    """Some plan: one to five steps, any dependencies backwards, now and then failures and delays."""
    names = [f"s{number}" for number in range(random.randint(1, 5))]
    steps: dict[str, Step] = {}
    for number, name in enumerate(names):
        calls = [
            Call(f"{task_id}/{name}/{n}", random.choice(list(Effect)), random.choice([0, 0, 0.05, 0.3]))
            for n in range(random.randint(0, 3))
        ]
        after = [each for each in names[:number] if random.random() < 0.4]
        fails = random.choice([0] * 12 + [1])
        steps[name] = Step(random.choice(SPECIALISTS), calls, after, fails, dies=random.random() < 0.05)
    return Planned(task_id, steps)


def problems(planned: Planned, status: str | None, effects: Iterable[Mapping[str, Any]], *, asked: bool) -> list[str]:
    """Problems of a task's history, one sentence each; `effects` are those the ledger counted for it.

    A run that asked a person what is in no ledger was cancelled by that person, and has not done everything.
    """
    counted, cancelled = list(effects), asked and status == "cancelled"
    found = _status_problems(planned, status, asked=asked)
    for op, call in planned.calls.items():
        of_op = [each for each in counted if each["op"] == op]
        keys = {each["key"] for each in of_op}
        if call.effect in ONCE and len(of_op) > 1:
            found.append(f"{op} ({call.effect}) was done {len(of_op)} times")
        if call.effect is Effect.IDEMPOTENT and len(keys) > 1:
            found.append(f"{op} ({call.effect}) was done under {len(keys)} keys")
        if op in planned.must_happen() and not of_op and not cancelled:
            found.append(f"{op} ({call.effect}) was not done")
        if op not in planned.may_happen() and of_op:
            found.append(f"{op} ({call.effect}) was done although its step cannot have been")
    unknown = {each["op"] for each in counted} - planned.calls.keys()
    return found + [f"{op} is in no plan" for op in sorted(unknown)] + _order_problems(planned, counted)


def _status_problems(planned: Planned, status: str | None, *, asked: bool) -> list[str]:
    if status is None:
        return [f"{planned.id} has no result"]
    if status != planned.status and not (asked and status == "cancelled"):
        return [f"{planned.id} ended as {status}, not as {planned.status}"]
    return []


def _order_problems(planned: Planned, counted: list[Mapping[str, Any]]) -> list[str]:
    """A call that was counted before one that it builds on; of repeated calls the first counts."""
    first: dict[str, float] = {}
    for each in counted:
        first[each["op"]] = min(each["at"], first.get(each["op"], each["at"]))
    return [f"{b} came before {a}" for a, b in planned.order() if a in first and b in first and first[b] < first[a]]
