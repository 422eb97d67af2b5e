"""Course of a run, recorded or played as a branch: plan, calls with their verdicts, ends of steps, usage."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from schemas import event as e
from schemas import step_events as s
from schemas.budget import Usage
from schemas.event import RunEvent
from schemas.verdict import Judgement
from shared.replay.changed.decision import shape_of
from shared.replay.outcome import Difference, differing
from shared.replay.whole.calls import arguments_at, is_call, parsed
from shared.replay.whole.people import questions_in, subject
from shared.replay.whole.replies import TURN
from shared.replay.works import Entry
from shared.runs import evolve
from shared.runs.run import Run


class Called(NamedTuple):
    """One call that a model or a handler asked for."""

    place: str
    tool: str
    arguments: Any
    verdict: str
    """The gate's last verdict; empty if there is none."""


class Work(NamedTuple):
    """One work of a run."""

    calls: Sequence[Called]
    turns: int
    ends: Sequence[str]
    """Ends of its handoffs."""


@dataclass(frozen=True, slots=True)
class Course:
    """Everything in which two runs of one task are compared."""

    state: str
    plans: Sequence[Any]
    steps: Sequence[Sequence[str]]
    """Ids of the steps of each plan."""
    works: Mapping[str, Work]
    """By `step/plan.round`, in the order in which they began."""
    questions: Sequence[Any]
    usage: Usage

    @classmethod
    def of(
        cls,
        events: Sequence[RunEvent],
        entries: Mapping[str, Sequence[Entry]],
        more: Mapping[str, Sequence[Judgement]] | None = None,
    ) -> "Course":
        """Return the course of a run. `more`: verdicts of handoffs that were not answered."""
        run = _run(events)
        plans = [each.plan for each in events if isinstance(each, e.PlanAccepted)]
        verdicts = _verdicts(events, more or {})
        ends = _ends(events)
        return cls(
            state=run.state.value,
            plans=[shape_of(each) for each in plans],
            steps=[[step.id for step in each.steps] for each in plans],
            works={_name(work): _work(work, each, verdicts, ends) for work, each in entries.items() if each},
            questions=_subjects(events),
            usage=run.usage,
        )

    @property
    def turns(self) -> int:
        """Number of turns of models."""
        return sum(each.turns for each in self.works.values())

    @property
    def calls(self) -> int:
        """Number of calls that were asked for."""
        return sum(len(each.calls) for each in self.works.values())

    def counts(self) -> dict[str, Any]:
        """Return the size of the course as JSON."""
        used = self.usage
        about = {"state": self.state, "works": len(self.works), "turns": self.turns, "calls": self.calls}
        tokens = {"prompt_tokens": used.prompt_tokens, "completion_tokens": used.completion_tokens}
        return about | tokens | {"cost_usd": round(used.cost_usd, 6)}


def differences(recorded: Course, other: Course, stopped: str | None) -> list[Difference]:
    """Return the differences of a branch. `stopped`: the work in which it stopped; None if it did not.

    What a branch did not come to is no difference.
    """
    return list(_differences(recorded, other, stopped))


def _differences(recorded: Course, other: Course, stopped: str | None) -> Iterator[Difference]:
    ended = stopped is None
    for number in range(len(other.plans) if not ended else max(len(recorded.plans), len(other.plans))):
        one, two = (_at(each.plans, number) for each in (recorded, other))
        if one != two:
            yield Difference("plan", f"plan {number + 1}", one, two)
    names = _renamed(recorded, other)
    works = {names.get(name, name): work for name, work in other.works.items()}
    for name in dict.fromkeys([*recorded.works, *works]):
        mine, its = recorded.works.get(name), works.get(name)
        if its is not None and mine is not None:
            yield from _in_work(name, mine, its, cut=name == names.get(stopped or "", stopped))
        elif its is not None or ended:
            yield Difference("step", name, "worked on" if mine else None, "worked on" if its else None)
    if ended and recorded.questions != other.questions:
        yield Difference("question", "people", list(recorded.questions), list(other.questions))
    if ended and recorded.state != other.state:
        yield Difference("state", "run", recorded.state, other.state)


def _in_work(name: str, recorded: Work, other: Work, *, cut: bool) -> Iterator[Difference]:
    """Yield the differences of one work. `cut`: the branch stopped in it, so that it may lack the rest."""
    mine = recorded.calls[: len(other.calls)] if cut else recorded.calls
    tools, others = ([each.tool for each in calls] for calls in (mine, other.calls))
    if tools != others:
        yield Difference("tool", name, tools, others)
        return
    for number, (one, two) in enumerate(zip(mine, other.calls, strict=True), 1):
        for where, was, now in differing(one.arguments, two.arguments):
            yield Difference("arguments", f"{name} {one.tool}#{number} {where}".rstrip(), was, now)
        if one.verdict != two.verdict and two.verdict:
            yield Difference("verdict", f"{name} {one.tool}#{number}", one.verdict, two.verdict)
    if not cut and recorded.ends != other.ends:
        yield Difference("answer", name, list(recorded.ends), list(other.ends))


def _renamed(recorded: Course, other: Course) -> dict[str, str]:
    """Return the names of works of the branch as the record has them: steps of equal plans correspond by position."""
    pairs = zip(recorded.plans, other.plans, recorded.steps, other.steps, strict=False)
    steps = [dict(zip(two, one, strict=True)) if mine == its else {} for mine, its, one, two in pairs]
    found = {}
    for name in other.works:
        step, _, round_ = name.rpartition("/")
        plan = int(round_.partition(".")[0]) if round_.partition(".")[0].isdecimal() else 0
        found[name] = f"{steps[plan].get(step, step)}/{round_}" if plan < len(steps) else name
    return found


def _work(work: str, entries: Sequence[Entry], verdicts: Mapping[str, str], ends: Mapping[str, list[str]]) -> Work:
    last = {each.name: each for each in entries if each.entry is not None}
    calls = []
    for each in last.values():
        if TURN.match(each.name):
            requests = enumerate(each.entry["reply"]["tool_requests"], 1)
            calls += [(f"{each.name}/call-{number}", one["name"], parsed(one["arguments"])) for number, one in requests]
        elif is_call(each.name) and each.name.rpartition("/call-")[0] not in last:
            calls.append((each.name, (each.of or {}).get("name", ""), arguments_at(last, each.name)))
    found = [Called(*each, verdicts.get(f"{work}/{each[0]}", "")) for each in calls]
    return Work(found, sum(1 for each in last if TURN.match(each)), ends.get(_name(work), []))


def _verdicts(events: Iterable[RunEvent], more: Mapping[str, Sequence[Judgement]]) -> dict[str, str]:
    """Return the last verdict of the gate by work and place."""
    given = {each.handoff_id: each.judged for each in events if isinstance(each, e.ActionsJudged)}
    return {
        f"{handoff.rpartition('.')[0]}/{each.call}": each.verdict
        for handoff, judged in {**given, **more}.items()
        for each in judged
        if each.action == "tool_call"
    }


def _ends(events: Iterable[RunEvent]) -> dict[str, list[str]]:
    """Return the ends of handoffs by work."""
    found: dict[str, list[str]] = {}
    open_: dict[str, str] = {}
    for each in events:
        match each:
            case s.StepDispatched() | e.PlanRequested() | e.SynthesisRequested() | e.ReviewRequested():
                open_[getattr(each, "step_id", type(each).__name__)] = each.handoff_id
            case s.AttemptFailed():
                found.setdefault(_name(each.handoff_id.rpartition(".")[0]), []).append(f"failed: {each.error.code}")
            case _ if (ended := _end(each)) is not None:
                key, what = ended
                handoff = open_.get(key, "")
                found.setdefault(_name(handoff.rpartition(".")[0]), []).append(what)
    return found


def _end(event: RunEvent) -> tuple[str, str] | None:
    match event:
        case s.StepDone():
            return event.step_id, "done"
        case s.StepHandedOff():
            return event.step_id, f"handed over to {event.to}"
        case s.StepAsked():
            return event.step_id, "asked"
        case e.PlanAccepted():
            return e.PlanRequested.__name__, "accepted"
        case e.PlanRefused():
            return e.PlanRequested.__name__, "refused"
        case e.SynthesisWritten():
            return e.SynthesisRequested.__name__, "written"
        case e.ReviewGiven():
            return e.ReviewRequested.__name__, "accepted" if event.accepted else "not accepted"
    return None


def _subjects(events: Sequence[RunEvent]) -> list[Any]:
    found, plan = [], None
    for each in events:
        plan = shape_of(each.plan) if isinstance(each, e.PlanAccepted) else plan
        found += [subject(asked, plan) for asked in questions_in([each])]
    return found


def _name(work: str) -> str:
    return work.partition("/")[2]


def _at(values: Sequence[Any], number: int) -> Any:
    return values[number] if number < len(values) else None


def _run(events: Sequence[RunEvent]) -> Run:
    run: Run | None = None
    for each in events:
        run = evolve(run, each)
    assert run is not None, "a run has a start"
    return run
