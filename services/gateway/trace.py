"""What a run did, when, for how long and at what cost: folded from its events, and the turns its journals keep."""

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

from pydantic import BaseModel, Field, computed_field

from schemas import event as e
from schemas.budget import Usage
from schemas.error import ErrorInfo
from schemas.message import Instant
from schemas.versions import Versions
from services.gateway.dependencies import RunSnapshot
from services.gateway.views import view_of
from shared.runs import ENDS

PERSON = "person"


class Action(BaseModel):
    """A turn of a model, or a call of a tool."""

    what: str
    at: Instant | None = Field(description="Null when the live stream was made anew: only the journal knows it.")
    seconds: float | None = Field(None, description="Until the next action, or the end of the attempt.")
    turn: int | None = Field(None, description="Which turn of the model; null: a tool.")
    model: str | None = None
    usage: Usage | None = Field(None, description="Of a turn; null when it was not answered.")
    versions: Versions | None = Field(None, description="Of a turn: agent, instructions, tools and model.")


class Attempt(BaseModel):
    """One handoff, or one question to a person."""

    handoff_id: str = Field(description="What `…/journal` shows it by; of a question its request's id.")
    at: Instant
    seconds: float | None = Field(None, description="From being sent to being answered; null while it is not.")
    status: str = Field("running", description="How it ended, in a word.")
    note: str = ""
    error: ErrorInfo | None = None
    usage: Usage = Usage()
    actions: list[Action] = Field(default_factory=list)

    @property
    def open(self) -> bool:
        """Whether an answer is awaited."""
        return self.seconds is None

    def close(self, at: Instant, status: str, note: str = "", error: ErrorInfo | None = None) -> None:
        """It has ended."""
        self.seconds = (at - self.at).total_seconds()
        self.status, self.note, self.error = status, note, error
        self._end_action(at)

    def act(self, action: Action, at: Instant) -> None:
        """The next thing is done."""
        self._end_action(at)
        self.actions.append(action)

    def _end_action(self, at: Instant) -> None:
        if self.actions and (begun := self.actions[-1]).at and begun.seconds is None:
            begun.seconds = (at - begun.at).total_seconds()


class Work(BaseModel):
    """A step, or the planner's, the reviewer's or a person's part."""

    id: str
    agent: str
    objective: str
    attempts: list[Attempt] = Field(default_factory=list)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def usage(self) -> Usage:
        """Of all attempts."""
        return sum((each.usage for each in self.attempts), Usage())

    @computed_field  # type: ignore[prop-decorator]
    @property
    def seconds(self) -> float:
        """Of all attempts; waits between them are not counted."""
        return sum(each.seconds or 0.0 for each in self.attempts)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def retries(self) -> int:
        """Attempts after a failed one."""
        return sum(before.status == "failed" for before, _ in pairwise(self.attempts))


class RunTrace(BaseModel):
    """What a run did so far."""

    run_id: str
    trace_id: str | None = Field(description="W3C Trace Context: the trace to open in the tracing backend.")
    state: e.State
    reason: str = Field(description="Why it is in this state.")
    started: Instant
    seconds: float = Field(description="From intake to the last event.")
    usage: Usage
    works: list[Work] = Field(description="In the order they were begun.")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def retries(self) -> int:
        """Attempts after a failed one, of all works."""
        return sum(work.retries for work in self.works)

    @property
    def attempts(self) -> list[Attempt]:
        """Those at all works."""
        return [each for work in self.works for each in work.attempts]


class TraceBuilder:
    """Takes a run's events in, from the first on."""

    def __init__(self) -> None:
        self.works: dict[str, Work] = {}
        self.last: Instant | None = None
        self._spent = Usage()
        """Told just before the event that says what it was spent for."""

    def tell(self, event: e.RunEvent) -> None:
        """Take the next one in."""
        self.last = event.at
        if fold := _FOLDS.get(type(event)):
            fold(self, event)

    def begin(self, id: str, agent: str, objective: str, handoff_id: str, at: Instant) -> None:
        """Somebody was asked to work."""
        work = self.works.setdefault(id, Work(id=id, agent=agent, objective=objective))
        work.attempts.append(Attempt(handoff_id=handoff_id, at=at))

    def current(self, id: str) -> Attempt | None:
        """The attempt at some work that is not over."""
        work = self.works.get(id)
        return work.attempts[-1] if work and work.attempts[-1].open else None

    def end(self, attempt: Attempt | None, at: Instant, status: str, note: str = "", **more: ErrorInfo) -> None:
        """An attempt has ended; what was told as spent was spent on it."""
        if attempt:
            attempt.close(at, status, note, **more)
            self.charge(attempt)

    def charge(self, attempt: Attempt) -> None:
        """Add to an attempt what was told as spent."""
        attempt.usage, self._spent = attempt.usage + self._spent, Usage()

    def spend(self, usage: Usage) -> None:
        """The next event says on what."""
        self._spent = usage

    def attempt(self, handoff_id: str) -> Attempt | None:
        """The attempt that is this handoff."""
        return next((each for each in self.attempts if each.handoff_id == handoff_id), None)

    @property
    def attempts(self) -> list[Attempt]:
        """Those at all works."""
        return [each for work in self.works.values() for each in work.attempts]


def _moved(told: TraceBuilder, event: e.Moved) -> None:
    for attempt in told.attempts:
        if event.target in ENDS and attempt.open:
            told.end(attempt, event.at, "given up")


def _ignored(told: TraceBuilder, event: e.AnswerIgnored) -> None:
    if attempt := told.attempt(event.handoff_id):
        told.charge(attempt)


def _failed(told: TraceBuilder, event: e.AttemptFailed) -> None:
    attempt = told.attempt(event.handoff_id)
    told.end(attempt, event.at, "failed", event.error.message, error=event.error)


def _progressed(told: TraceBuilder, event: e.Progressed) -> None:
    if attempt := told.current(event.step_id):
        attempt.act(Action(what=event.doing, at=event.at, turn=event.turn), event.at)


def _reviewed(told: TraceBuilder, event: e.ReviewGiven) -> None:
    verdict = "accepted" if event.accepted else "wants changes"
    told.end(told.current("reviewer"), event.at, verdict, "; ".join(event.reasons))


_FOLDS: dict[type[e.RunEvent], Callable[[TraceBuilder, Any], None]] = {
    e.Moved: _moved,
    e.Spent: lambda told, ev: told.spend(ev.usage),
    e.AnswerIgnored: _ignored,
    e.Progressed: _progressed,
    e.AttemptFailed: _failed,
    e.PlanRequested: lambda told, ev: told.begin("planner", "planner", "make a plan", ev.handoff_id, ev.at),
    e.PlanAccepted: lambda told, ev: told.end(told.current("planner"), ev.at, "done"),
    e.PlanRefused: lambda told, ev: told.end(told.current("planner"), ev.at, "refused", "; ".join(ev.problems)),
    e.StepDispatched: lambda told, ev: told.begin(ev.step_id, ev.agent, ev.objective, ev.handoff_id, ev.at),
    e.StepDone: lambda told, ev: told.end(told.current(ev.step_id), ev.at, "done"),
    e.StepAsked: lambda told, ev: told.end(told.current(ev.step_id), ev.at, "asks", ev.question),
    e.ReviewRequested: lambda told, ev: told.begin("reviewer", "reviewer", "review", ev.handoff_id, ev.at),
    e.ReviewGiven: _reviewed,
    e.HelpRequested: lambda told, ev: told.begin(ev.request_id, PERSON, ev.question, ev.request_id, ev.at),
    e.HelpAnswered: lambda told, ev: told.end(told.current(ev.request_id), ev.at, ev.decision, ev.answer),
}


def trace_of(snapshot: RunSnapshot, events: Iterable[e.RunEvent]) -> RunTrace:
    """What a run did; before it has begun, nothing."""
    told, now = TraceBuilder(), view_of(snapshot)
    for event in events:
        told.tell(event)
    return RunTrace(
        run_id=snapshot.id,
        trace_id=_trace_id(snapshot.run.traceparent) if snapshot.run else None,
        state=now.state,
        reason=now.reason,
        started=now.started,
        seconds=(told.last - now.started).total_seconds() if told.last else 0.0,
        usage=now.usage,
        works=list(told.works.values()),
    )


def _trace_id(traceparent: str | None) -> str | None:
    """Of `00-<trace id>-<span id>-<flags>`."""
    return traceparent.split("-")[1] if traceparent else None


def account(attempt: Attempt, journal: dict[str, Any]) -> None:
    """Say of each turn of an attempt what it took, as the journal of its work has it."""
    asked = [each for each in attempt.actions if each.turn is not None]
    for turn, entry in _turns(attempt, journal):
        found = next((each for each in asked if each.turn == turn and each.usage is None), None)
        if found is None:
            found = Action(what=f"thinking (turn {turn})", at=None, turn=turn)
            attempt.actions.append(found)
        found.versions = Versions.model_validate(entry["versions"]) if "versions" in entry else None
        found.model, found.usage = entry["reply"]["model"], Usage.model_validate(entry["reply"]["usage"])


def _turns(attempt: Attempt, journal: dict[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    """The turns that were taken in this attempt; a later one goes on with the turns of an earlier one."""
    number = attempt.handoff_id.rpartition(".")[2]
    mine = {name: entry for name, entry in journal.items() if _is_turn(name) and str(entry.get("try")) == number}
    return [(_place(name)[1], mine[name]) for name in sorted(mine, key=_place)]


def _is_turn(name: str) -> bool:
    thought, _, turn = name.partition("/")
    return thought.startswith("think-") and turn.startswith("turn-") and "/" not in turn


def _place(name: str) -> list[int]:
    """Of `think-1/turn-2`: 1 and 2."""
    return [int(part.rpartition("-")[2]) for part in name.split("/")]
