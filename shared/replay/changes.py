"""Changes of a run, decided again: each from the message that caused it, on the run as it was, at its time.

The message is read from its topic while that retains it. Later it is made again from what the log states of it: the
task as the guardrails left it, an agent's answer from the facts it led to, a timer from the run that had set it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Literal, NamedTuple, TypeAlias

from schemas import event as e
from schemas.error import ErrorInfo
from schemas.event import RunEvent
from schemas.log import RunChanged
from schemas.message import Message
from schemas.plan import Plan
from schemas.step import Answer, Handoff
from shared.errors import WaggleError
from shared.replay.agents_known import AgentsKnown
from shared.replay.answers import answers_in
from shared.replay.commands import commands_in, hits_in
from shared.replay.outcome import Difference, Outcome, differing
from shared.runs import Decision, Intake, Outgoing, Run, decide, evolve, give_up
from shared.runs.governance import Governance, default_governance
from shared.runs.messages import ScreenedMessage
from shared.runs.planning import Agents
from shared.runs.run import TOO_LARGE
from shared.runs.timers import timers
from shared.service.rebuild.fold import event_of

Cause: TypeAlias = Message | Intake | ScreenedMessage

Source = Literal["topic", "timer", "log", "guess", "none"]
"""Origin of the message: its topic, the timer that the run had set, what the log states, or a timer that fits."""

_GIVEN_UP = (TOO_LARGE, "defect")
"""Errors with which a run is ended that waits for a message which cannot be processed."""


@dataclass(frozen=True, slots=True)
class Recording:
    """Inputs of the decisions of one run."""

    changes: Sequence[RunChanged]
    """The changes that count, in order."""
    agents: AgentsKnown = field(default_factory=AgentsKnown)
    governance: Governance = field(default_factory=default_governance)
    messages: Mapping[str, Message] = field(default_factory=dict)
    """Retained messages to the run, by the mark of their delivery, and by their id."""
    plans: Mapping[str, Sequence[Plan]] = field(default_factory=dict)
    """Plans that the journal has, by the handoff they answer."""


class ChangeReplay(NamedTuple):
    """One change, decided again."""

    number: int
    outcome: Outcome
    source: Source
    events: Sequence[RunEvent]
    """As recorded."""
    before: Run | None
    cause: Cause | None = None
    sent: Sequence[Outgoing] = ()
    """Messages that the decision sends; empty unless it is the same."""
    differences: Sequence[Difference] = ()


def replay_changes(recording: Recording) -> Iterator[ChangeReplay]:
    """Decide the changes of a run again, in order. A difference is not carried on: the record is what follows."""
    run: Run | None = None
    for change in recording.changes:
        events = [event_of(each) for each in change.events]
        yield _replayed(recording, change, events, run)
        for each in events:
            run = evolve(run, each)


def _replayed(recording: Recording, change: RunChanged, events: list[RunEvent], run: Run | None) -> ChangeReplay:
    known, first = recording.agents.at(events[0].at, events), None
    shown = [_shown(each) for each in events]
    for (source, cause), agents in product(_causes(recording, change, events, run), known):
        for decision in _decisions(run, cause, events, agents, recording.governance):
            if [_shown(each) for each in decision.events] == shown:
                return ChangeReplay(change.number, Outcome.SAME, source, events, run, cause, decision.messages)
            first = first or (source, cause, decision) if source != "guess" else first
    if first is None:
        return ChangeReplay(change.number, Outcome.UNKNOWN, "none", events, run)
    source, cause, decision = first
    found = list(_differences(events, decision))
    outcome = Outcome.UNKNOWN if source == "log" and _is_incomplete(events) else Outcome.DIFFERS
    return ChangeReplay(change.number, outcome, source, events, run, cause, differences=found)


def _is_incomplete(events: Sequence[RunEvent]) -> bool:
    """Return True for events that do not state all that their message said: a plan, or a command, that was refused."""
    return any(isinstance(each, e.PlanRefused | e.MoveRefused) for each in events)


def _causes(
    recording: Recording, change: RunChanged, events: list[RunEvent], run: Run | None
) -> Iterator[tuple[Source, Cause]]:
    """Yield the messages that may have caused the change: the one that is retained, or those that the log states."""
    if isinstance(events[0], e.RunStarted):
        yield from (("log", each) for each in _intakes(events))
        return
    assert run is not None, "a run begins with its start"
    for outgoing in timers(run):
        if outgoing.id == change.cause:
            yield "timer", outgoing.message
            return
    retained = recording.messages.get(change.mark or "") or recording.messages.get(change.cause)
    if retained is not None and not _is_screened(retained):
        yield "topic", retained
        return
    yield from (("log", each) for each in answers_in(run, events, lambda handoff: recording.plans.get(handoff, ())))
    yield from (("log", each) for each in commands_in(run, events))
    yield from (("guess", each.message) for each in timers(run))


def _is_screened(message: Message) -> bool:
    """Return True for a message that a run gets only after the guardrails: the log has it as they left it."""
    return message.wire_type().startswith("waggle.add-message.")


def _intakes(events: list[RunEvent]) -> Iterator[Intake]:
    """Yield the intake of a task; one that was refused at once also as refused by its tenant's terms."""
    started = events[0]
    assert isinstance(started, e.RunStarted), "the caller has checked it"
    names = ("run_id", "task_id", "task", "traceparent", "source", "secret", "unread", "resumes", "conversation")
    about: dict[str, Any] = {name: getattr(started, name) for name in names}
    tripped = hits_in(events)
    for resumes in dict.fromkeys([started.resumes, max(0, started.resumes - 1)]):
        for refused in (None, *_refusals(events)):
            yield Intake(**about | {"tripped": tripped, "refused": refused, "resumes": resumes})


def _refusals(events: Iterable[RunEvent]) -> Iterator[ErrorInfo]:
    moves = (each for each in events if isinstance(each, e.Moved) and each.target is e.State.REJECTED)
    yield from (each.error for each in moves if each.error is not None)


def _decisions(
    run: Run | None, cause: Cause, events: Sequence[RunEvent], agents: Agents, governance: Governance
) -> Iterator[Decision]:
    """Yield the decision about the message; then the end of a run for which it could not be processed."""
    now = events[0].at
    redriven = isinstance(cause, Intake) and run is not None and run.unread
    try:
        decision = decide(None if isinstance(cause, Intake) and not redriven else run, cause, now, agents, governance)
        if decision is not None:
            yield decision
    except WaggleError:
        pass  # the run refuses this message, so it has caused no change: another one has, or the end below
    if run is None or isinstance(cause, Intake):
        return
    for code, message in _given_up(events):
        answer = cause if isinstance(cause, Answer) and code == TOO_LARGE else None
        yield give_up(run, now, message, code, answer=answer)


def _given_up(events: Iterable[RunEvent]) -> Iterator[tuple[str, str]]:
    for each in events:
        if isinstance(each, e.Moved) and each.error is not None and each.error.code in _GIVEN_UP:
            yield each.error.code, each.error.message
        elif isinstance(each, e.ResultReleased) and each.too_large:
            yield TOO_LARGE, "the outputs of its steps exceed the size of one message"


def _shown(event: RunEvent) -> tuple[str, dict[str, Any]]:
    return event.wire_type(), event.model_dump(mode="json")


def _differences(recorded: Sequence[RunEvent], decision: Decision) -> Iterator[Difference]:
    """Yield the differences of the first event that differs."""
    for number in range(max(len(recorded), len(decision.events))):
        one = recorded[number] if number < len(recorded) else None
        other = decision.events[number] if number < len(decision.events) else None
        if one is None or other is None or type(one) is not type(other):
            yield Difference("event", str(number + 1), one and one.wire_type(), other and other.wire_type())
            return
        found = list(differing(_shown(one)[1], _shown(other)[1], one.wire_type()))
        if found:
            yield from (Difference("event", *each) for each in found)
            return


def handoffs_in(replays: Iterable[ChangeReplay]) -> dict[str, Handoff]:
    """Return the handoffs that the decisions sent, by id."""
    return {each.id: each.message for one in replays for each in one.sent if isinstance(each.message, Handoff)}
