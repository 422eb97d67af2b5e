"""A world around the pure core: it answers the requests of a run, in any order and way a test chooses."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from schemas.error import ErrorInfo
from schemas.event import (
    ActionsJudged,
    AnswerIgnored,
    Moved,
    MoveRefused,
    ResultReleased,
    RunEvent,
    Spent,
)
from schemas.message import Message
from schemas.plan import AgentCard, Plan, PlannedStep, ToolCard
from schemas.step import (
    DoStep,
    Handoff,
    HandoffFailed,
    HelpAsked,
    MakePlan,
    Output,
    PlanProposed,
    ResultReviewed,
    ReviewResult,
    StepCompleted,
    Synthesis,
)
from schemas.step_events import StepDispatched
from schemas.synthesis import AnswerWritten, WriteAnswer
from schemas.task import Result, Task
from schemas.timer import DeadlinePassed, QuestionDue, ResultDue, WaitExpired
from shared.runs import ENDS, Intake, Outgoing, Run, decide, may_move, reissue, replay
from shared.runs.governance import Governance, default_governance
from shared.runs.timers import timers

START = datetime(2026, 1, 1, tzinfo=UTC)
AGENTS = {
    name: AgentCard(name=name, description=name, tools=[ToolCard(name=f"{name}-tool", description="", risk="low")])
    for name in ("data", "research", "code")
}

TIMERS = DeadlinePassed | WaitExpired | QuestionDue | ResultDue

AFTER_THE_END = Spent | ActionsJudged | AnswerIgnored | ResultReleased | MoveRefused
"""Events that may still be recorded for an ended run."""


def plan_of(**depends_on: str) -> Plan:
    """`plan_of(a="", b="a")`: step b depends on step a. All are for the data agent."""
    steps = [
        PlannedStep(id=key, objective=key, agent="data", depends_on=needed.split())
        for key, needed in depends_on.items()
    ]
    return Plan(steps=steps)


def reworded(plan: Plan, number: int) -> Plan:
    """The same plan as far as problems go, and another one."""
    steps = [step.model_copy(update={"objective": f"{step.objective} {number}"}) for step in plan.steps]
    return Plan(steps=steps)


@dataclass
class World:
    """One run and everything that was said about it. Checks the laws that hold at every single decision."""

    task: Task
    now: datetime = START
    run: Run | None = None
    governance: Governance = field(default_factory=default_governance)
    events: list[RunEvent] = field(default_factory=list)
    sent: list[Outgoing] = field(default_factory=list)
    open: dict[str, Outgoing] = field(default_factory=dict)
    """Sent and not yet delivered, by id."""

    def start(self) -> "World":
        self.tell(Intake("run-1", "task-1", self.task, secret="drawn"))
        return self

    def tell(self, message: Message | Intake) -> None:
        """Let the run decide about a message."""
        before = self.run.model_copy(deep=True) if self.run else None
        decision = decide(self.run, message, self.now, AGENTS, self.governance)
        assert decision == decide(before, message, self.now, AGENTS, self.governance), (
            "not deterministic, or the run was changed"
        )
        assert decision is not None
        self._check_moves(decision.events)
        self.run = decision.run
        self.events += decision.events
        for outgoing in decision.messages:
            assert outgoing.id not in {each.id for each in self.sent}, "an id was used twice"
            self.sent.append(outgoing)
            self.open[outgoing.id] = outgoing
        for cleared in decision.cleared:
            self.open.pop(cleared, None)
        armed = {id for id, each in self.open.items() if isinstance(each.message, TIMERS)}
        assert armed <= {each.id for each in timers(self.run)}, "a timer waits that has no use"
        assert replay(self.events) == self.run, "the events do not tell the run"
        asked = {each.id: each for each in reissue(self.run, self.now, AGENTS)}
        assert asked.keys() <= {each.id for each in self.sent}, "something is asked again that never was asked"
        if self.run.state not in ENDS:
            again = {id for id, each in asked.items() if isinstance(each.message, Handoff)}
            assert self._awaited() == again, "what is awaited is not what is asked again"

    def _awaited(self) -> set[str | None]:
        run = self.run
        requests = (run.planning, run.writing, run.reviewing)
        ids = {each.handoff_id for each in (*requests, *run.steps.values())}
        return ids - {None}

    def _check_moves(self, events: tuple[RunEvent, ...]) -> None:
        state = self.run.state if self.run else None
        for event in events:
            if isinstance(event, Moved):
                assert state in (None, event.source)
                assert may_move(event.source, event.target)
                state = event.target

    def waiting(self, kind: type[Message]) -> list[Any]:
        """The undelivered messages of that kind."""
        return [each.message for each in self.open.values() if isinstance(each.message, kind)]

    def handoff(self, step_id: str) -> DoStep:
        """The open handoff of a step."""
        return next(each for each in self.waiting(DoStep) if each.step_id == step_id)

    def answer(self, handoff: Handoff, kind: type[Any], **facts: Any) -> Message:
        """An agent's answer to a handoff, which is taken."""
        self.open.pop(handoff.id, None)
        about = {"run_id": handoff.run_id, "tenant": handoff.tenant, "agent": handoff.agent}
        about |= {"token": handoff.token} | facts
        return kind(id=f"{handoff.id}/answer", handoff_id=handoff.id, **about)

    def plan(self, plan: Plan, **facts: Any) -> None:
        asked = self.waiting(MakePlan)[-1]
        self.tell(self.answer(asked, PlanProposed, plan=plan, **facts))

    def done(self, step_id: str, answer: str | None = None, **facts: Any) -> None:
        output = Output(answer=answer or f"{step_id} is done", confidence=0.8)
        self.tell(self.answer(self.handoff(step_id), StepCompleted, output=output, **facts))

    def fail(self, handoff: Handoff, *, retryable: bool = True) -> None:
        error = ErrorInfo(code="broken", message="it broke", retryable=retryable)
        self.tell(self.answer(handoff, HandoffFailed, error=error))

    def ask(self, step_id: str) -> None:
        self.tell(self.answer(self.handoff(step_id), HelpAsked, question="may I?", options=["yes", "no"]))

    def write(self, answer: str = "all in one", **facts: Any) -> None:
        """Let the writer answer. `facts`: of the synthesis."""
        (asked,) = self.waiting(WriteAnswer)
        told = {"facts": [], "sources": [], "confidence": 0.9, "caveats": [], "conflicts": []} | facts
        self.tell(self.answer(asked, AnswerWritten, synthesis=Synthesis(answer=answer, **told)))

    def review(self, *, accepted: bool = True, redo: tuple[str, ...] = ()) -> None:
        """Let the reviewer answer, after the writer if that is still asked."""
        if self.waiting(WriteAnswer):
            self.write()
        (asked,) = self.waiting(ReviewResult)
        self.tell(self.answer(asked, ResultReviewed, accepted=accepted, reasons=["because"], redo=list(redo)))

    def fire(self, kind: type[Message]) -> None:
        """Let time pass until every timer of that kind has fired that is set then."""
        for outgoing in [each for each in self.open.values() if isinstance(each.message, kind)]:
            if outgoing.id not in self.open:
                continue
            self.now = max(self.now, outgoing.due or self.now) + timedelta(milliseconds=1)
            del self.open[outgoing.id]
            self.tell(outgoing.message)

    @property
    def results(self) -> list[Result]:
        return [each.message for each in self.sent if isinstance(each.message, Result)]

    @property
    def dispatched(self) -> list[str]:
        return [event.step_id for event in self.events if isinstance(event, StepDispatched)]
