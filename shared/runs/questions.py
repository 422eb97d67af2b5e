"""Questions to people: each stops its own work and what depends on it, and the rest of the run proceeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from schemas.plan import PLANNER, Plan, PlannedStep, Risk
from schemas.question import Background, Kind, Offer, Reply
from schemas.question_events import HelpRequested
from schemas.verdict import Proposal
from shared.authorization import Consequence, Subject
from shared.runs.builder import DecisionBuilder
from shared.runs.run import StepRecord
from shared.runs.tokens import request_id

_A = Reply

_EFFECTS: Mapping[Kind, Mapping[Reply, str]] = {
    Kind.CALL: {
        _A.APPROVE: "it is called once, with these arguments",
        _A.EDIT: "it is called once, with your arguments; the gate judges them first",
        _A.RESPOND: "it is not called; the agent continues with your message",
        _A.REJECT: "it is not called; the run is planned again with your reason",
        _A.SKIP: "it is not called; the agent continues without it",
    },
    Kind.PLAN: {
        _A.APPROVE: "the plan is executed; its calls are still judged one by one",
        _A.EDIT: "your plan is executed instead, if it is valid",
        _A.REJECT: "nothing of it runs; the run is planned again with your reason",
    },
    Kind.REVIEW: {
        _A.APPROVE: "the result is accepted as it is",
        _A.RESPOND: "the last steps are redone with your message",
        _A.REJECT: "the run is planned again with your reason",
    },
    Kind.QUESTION: {
        _A.RESPOND: "the agent continues with your answer",
        _A.REJECT: "the run is planned again with your reason",
        _A.SKIP: "the agent continues without an answer",
    },
    Kind.OUTCOME: {
        _A.RESPOND: "the agent continues with what you say happened; `repeat` makes the call again",
        _A.REJECT: "the run is planned again with your reason",
        _A.SKIP: "the agent continues, not knowing if the call happened",
    },
    Kind.FAILURE: {
        _A.APPROVE: "it is tried once more",
        _A.RESPOND: "it is tried once more, with your message as a hint",
        _A.REJECT: "the run is planned again with your reason",
        _A.SKIP: "the step counts as done, without a result; the result says so",
    },
    Kind.TASK: {
        _A.APPROVE: "the task is planned and executed",
        _A.REJECT: "the run ends",
    },
}

_PLANNING_CANNOT = frozenset({Reply.SKIP})
"""Answers to a failing step that failing planning does not take."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A question before it has an id and terms."""

    kind: Kind
    about: Literal["plan", "step", "review"]
    question: str
    options: Sequence[str] = ()
    step: StepRecord | None = None
    proposal: Proposal | None = None
    background: Background | None = None
    risk: Risk | None = None


def raise_question(builder: DecisionBuilder, draft: Draft) -> None:
    """Ask people. The state of the run does not change: its rules decide if anything else can proceed."""
    run, policy = builder.run, builder.governance.policy(builder.run.tenant)
    asked = policy.terms_of(_subject(builder, draft))
    risk = draft.proposal.risk if draft.proposal else draft.risk
    builder.record(
        HelpRequested,
        request_id=request_id(run, run.requests + 1),
        about=draft.about,
        step_id=draft.step.step.id if draft.step else None,
        question=draft.question,
        options=list(draft.options),
        choices=list(draft.options) if draft.kind in (Kind.QUESTION, Kind.OUTCOME) else [],
        proposal=draft.proposal,
        background=draft.background,
        kind=draft.kind,
        offers=_offers(draft),
        terms=asked.terms,
        expires=builder.now + timedelta(seconds=asked.expires),
        risk=risk,
        blocking=risk is not None and policy.risk[risk] is Consequence.BLOCK,
    )


def raise_step_questions(builder: DecisionBuilder) -> None:
    """Ask what the steps ask, and about the steps that failed, if the task waits for people then."""
    known = {each.asked.step_id for each in builder.run.questions.values()}
    for record in builder.run.steps.values():
        if record.step.id not in known and (draft := _of_step(builder, record)) is not None:
            raise_question(builder, draft)


def plan_question(plan: Plan, risky: Sequence[PlannedStep]) -> Draft:
    """Return the question about a plan with risky steps, before any of its steps runs."""
    named = "; ".join(f"`{each.id}` ({each.agent}, {each.risk} risk): {each.objective}" for each in risky)
    worst = max((each.risk for each in risky), key=list(Risk).index)
    question = f"Should this plan be executed? {len(risky)} of its {len(plan.steps)} steps are risky: {named}"
    background = Background(agent=PLANNER, doing=plan.rationale[:20_000])
    return Draft(Kind.PLAN, "plan", question[:2_000], background=background, risk=worst)


def asks_about_failure(builder: DecisionBuilder, record: StepRecord) -> bool:
    """Return True if people are asked about a failed step, instead of ending the run."""
    return builder.run.task.on_trouble == "wait" and record.error is not None and record.error.code not in _FINAL


_FINAL = frozenset({"budget_exhausted"})
"""Failures that no retry of a step can avoid."""


def _of_step(builder: DecisionBuilder, record: StepRecord) -> Draft | None:
    if record.status == "failed" and asks_about_failure(builder, record):
        return _failing(record)
    if record.status != "asking" or record.question is None:
        return None
    about_call = Kind.CALL if record.proposal else Kind.OUTCOME if record.uncertain else Kind.QUESTION
    return Draft(
        record.asks or about_call,
        "step",
        record.question,
        record.options,
        record,
        record.proposal,
        record.background,
    )


def _failing(record: StepRecord) -> Draft:
    """Return the question about a failed step, with what was tried."""
    assert record.error is not None, "a failed step has an error"
    background = Background(agent=record.step.agent, doing=record.step.objective, tried=record.failures)
    usage = background.model_copy(update={"usage": record.usage})
    question = f"step `{record.step.id}` ({record.step.agent}) keeps failing: {record.error.message}"[:2_000]
    return Draft(Kind.FAILURE, "step", question, step=record, background=usage)


def _subject(builder: DecisionBuilder, draft: Draft) -> Subject:
    proposal = draft.proposal
    agent = proposal.agent if proposal else draft.step.step.agent if draft.step else None
    return Subject(
        kind=draft.kind,
        tool=proposal.tool if proposal else "",
        agent=agent,
        task_type=builder.run.task.type,
        risk=proposal.risk if proposal else draft.risk,
        moves=proposal.moves if proposal else {},
        recipients=proposal.recipients if proposal else 0,
    )


def _offers(draft: Draft) -> list[Offer]:
    """Return the answers that the question takes, with their effects."""
    effects = dict(_EFFECTS[draft.kind])
    if draft.proposal is not None:
        effects |= {Reply.APPROVE: draft.proposal.if_approved, Reply.REJECT: draft.proposal.if_rejected}
    if draft.kind is Kind.FAILURE and draft.step is None:
        effects = {reply: effect for reply, effect in effects.items() if reply not in _PLANNING_CANNOT}
    return [Offer(answer=reply, effect=effect[:2_000]) for reply, effect in effects.items()]
