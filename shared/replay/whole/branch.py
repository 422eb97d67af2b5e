"""One branch of a recorded run: its state machine decides live, and its agents work one after the other.

A branch cannot act: no tool, producer or store is in reach of it. Its messages are only ever given to the run itself.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from schemas.approval import HumanDecided
from schemas.event import PlanAccepted, RunEvent
from schemas.message import Message
from schemas.plan import AgentCard
from schemas.question_events import HelpRequested
from schemas.step import Answer, Handoff
from schemas.verdict import Judgement
from shared.errors import WaggleError
from shared.replay.changed.decision import shape_of
from shared.replay.whole.people import RecordedPeople, addressed
from shared.replay.whole.runtime import Floor
from shared.replay.whole.stops import LIMIT, MISS, OTHER, BranchStopped
from shared.runs import ENDS, Decision, Intake, Outgoing, Run, decide
from shared.runs.governance import Governance
from shared.runs.messages import ScreenedMessage

MOST_DECISIONS = 10_000
"""Decisions of one branch."""


@dataclass(slots=True)
class Branch:
    """One branch. `play` it once."""

    intake: Intake
    cards: Mapping[str, AgentCard]
    governance: Governance
    people: RecordedPeople
    floor: Floor
    run: Run | None = None
    events: list[RunEvent] = field(default_factory=list)
    verdicts: dict[str, Sequence[Judgement]] = field(default_factory=dict)
    """Verdicts of a handoff that was not answered, by its id."""
    stopped: BranchStopped | None = None
    _queue: deque[Message] = field(default_factory=deque)
    _later: dict[str, Outgoing] = field(default_factory=dict)
    _answers: int = 0
    _decisions: int = 0
    _unanswered: list[BranchStopped] = field(default_factory=list)
    _plan: Any = None

    async def play(self) -> None:
        """Play the run to its end, or to where it stops."""
        try:
            self._decide(self.intake)
            while (message := self._next()) is not None:
                await self._process(message)
        except BranchStopped as stopped:
            self.stopped = stopped
            if (handoff := self.floor.handoff) is not None:
                self.verdicts[handoff.handoff.id] = handoff.authorizer.verdicts

    async def _process(self, message: Message | ScreenedMessage) -> None:
        if isinstance(message, Handoff):
            assert self.run is not None, "a handoff is sent by a run"
            self._decide(await self.floor.work(message, self.run.messages))
        elif isinstance(message, HumanDecided):
            assert self.run is not None, "a question is asked by a run"
            self._decide(addressed(message, self.run, message.request_id))
        else:
            self._decide(message)

    def _next(self) -> Message | ScreenedMessage | None:
        """Return the next message to the run, or the next handoff; None at the end of the run."""
        assert self.run is not None, "the run has started"
        if self.people.messages and self.people.messages[0].answers <= self._answers:
            return self.people.messages.pop(0).message
        due = min(self._later.values(), key=lambda each: each.due or self.floor.clock.start, default=None)
        now = self.floor.clock.now()
        if self._queue and (due is None or due.due is None or due.due > now):
            return self._queue.popleft()
        if self.run.state in ENDS and not self.run.settling:
            return self.people.applied.pop(0) if self.people.applied else None
        if self._unanswered:
            raise self._unanswered[0]
        if due is None or due.due is None:
            raise BranchStopped(OTHER, self.run.id, "the run waits for something that is not on record")
        del self._later[due.id]
        self.floor.clock.advance(due.due)
        return due.message

    def _decide(self, message: Message | Intake | ScreenedMessage) -> None:
        self._decisions += 1
        self._answers += isinstance(message, Answer)
        run = self.run
        if self._decisions > MOST_DECISIONS:
            raise BranchStopped(LIMIT, self.intake.run_id, f"it takes more than {MOST_DECISIONS} decisions")
        try:
            decision = decide(run, message, self.floor.clock.now(), self.cards, self.governance)
        except WaggleError as error:
            raise BranchStopped(OTHER, self.intake.run_id, f"{error.code}: {error}") from None
        assert decision is not None, "the run has started"
        self._follow(decision)

    def _follow(self, decision: Decision) -> None:
        self.run = decision.run
        self.events += decision.events
        for id in decision.cleared:
            self._later.pop(id, None)
        for each in decision.messages:
            if each.due is not None:
                self._later[each.id] = each
            elif isinstance(each.message, Handoff):
                self._queue.append(each.message)
        for event in decision.events:
            self._plan = shape_of(event.plan) if isinstance(event, PlanAccepted) else self._plan
            if isinstance(event, HelpRequested):
                self._ask(event)

    def _ask(self, asked: HelpRequested) -> None:
        """Answer a question as people did in the record; note that it cannot be answered."""
        assert self.run is not None, "a question is asked by a run"
        commands = self.people.answers_to(asked, self._plan)
        if commands is None:
            self._unanswered.append(_unasked(asked, self.people))
            return
        self._queue.extend(addressed(each, self.run, asked.request_id) for each in commands)


def _unasked(asked: HelpRequested, people: RecordedPeople) -> BranchStopped:
    """Return the end of a branch that asks people something else than the recorded run did."""
    near, about = people.nearest(asked), {"kind": asked.kind, "question": asked.question}
    if asked.proposal is not None:
        about |= {"tool": asked.proposal.tool, "arguments": asked.proposal.arguments}
    nearest = {"at": near.asked.request_id, "question": near.asked.question} if near else None
    why = "it asks people what they were not asked in the record"
    return BranchStopped(MISS, asked.request_id, why, asked=about, nearest=nearest)
