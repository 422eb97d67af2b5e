"""Effects of answers: each decision takes effect once, when its time has come and the run is not paused."""

import json

from schemas import event, step_events
from schemas.budget import Usage
from schemas.event import ENDS, State
from schemas.question import Kind, Reply, Vote
from schemas.question_events import HelpAnswered
from schemas.step import Output
from schemas.task import Task
from shared.runs.builder import DecisionBuilder
from shared.runs.clock import CLOCKS_DIFFER
from shared.runs.deadlines import extend_deadline
from shared.runs.ending import fail
from shared.runs.open_question import TIMEKEEPER, OpenQuestion
from shared.runs.planning import Agents, last_steps, problems
from shared.runs.run import MAX_REPLANS
from shared.runs.votes import edited_plan

_STILL = ENDS | {State.PAUSED}


def apply_decisions(builder: DecisionBuilder) -> None:
    """Let every decision take effect whose time has come; none while the run is paused."""
    for question in list(builder.run.questions.values()):
        known = question.asked.request_id in builder.run.questions
        due = question.effective is not None and question.effective <= builder.now + CLOCKS_DIFFER
        if known and due and builder.run.state not in _STILL:
            _take_effect(builder, question)


def plan_problems(arguments: str | None, task: Task, agents: Agents) -> str | None:
    """Return the reason why an edited plan cannot be executed; None if it can. `agents`: those the task may use."""
    plan = edited_plan(arguments)
    if plan is None:
        return "the edited plan does not fit the schema of plans"
    return "; ".join(problems(plan, task, agents)) or None


def _take_effect(builder: DecisionBuilder, question: OpenQuestion) -> None:
    vote = question.deciding
    assert vote is not None, "a decided question has an answer that decided it"
    reply = Reply.EDIT if _is_edited(question, vote) else vote.reply
    builder.record(
        HelpAnswered,
        by=vote.by,
        request_id=question.asked.request_id,
        decision="approve" if reply is not Reply.EDIT and question.approves(reply) else "reject",
        answer=vote.answer,
        reply=reply,
        arguments=_arguments(question, vote) if reply is Reply.EDIT else None,
        votes=question.votes,
        reverify=question.reverify,
    )
    match question.kind, reply:
        case _, Reply.REJECT:
            _reject(builder, question, vote)
        case Kind.REVIEW, _:
            said = {"accepted": reply is Reply.APPROVE, "reasons": [vote.answer], "redo": last_steps(builder.run)}
            builder.record(event.ReviewGiven, by=vote.by, **said)
        case Kind.PLAN, Reply.EDIT:
            plan = edited_plan(vote.arguments)
            assert plan is not None, "an invalid plan is refused when it is given"
            builder.record(event.PlanAccepted, by=vote.by, plan=plan, tainted=False)
        case Kind.FAILURE, Reply.SKIP:
            _skip_step(builder, question, vote)


def _is_edited(question: OpenQuestion, vote: Vote) -> bool:
    return vote.reply is Reply.EDIT or (question.is_edited and vote.reply is Reply.APPROVE)


def _arguments(question: OpenQuestion, vote: Vote) -> str | None:
    """Return the arguments as people approved them: of a call the exact text, as its digest covers it."""
    return question.asked.proposal.arguments if question.asked.proposal else vote.arguments


def _skip_step(builder: DecisionBuilder, question: OpenQuestion, vote: Vote) -> None:
    """Count a failed step as done, without a result."""
    step_id = question.asked.step_id or ""
    record = builder.run.steps[step_id]
    why = f": {vote.answer}" if vote.answer else ""
    error = f" ({record.error.message})" if record.error else ""
    caveat = f"step `{step_id}` failed{error} and was skipped by {vote.by}{why}"[:2_000]
    output = Output(answer=f"(This step was skipped: {json.dumps(caveat)})", confidence=0.0, caveats=[caveat])
    if record.handed is not None and record.output is not None:  # its handoff was refused, its brief is kept
        output = record.output.model_copy(update={"caveats": [*record.output.caveats, caveat]})
    builder.record(step_events.StepDone, by=vote.by, step_id=step_id, output=output, seconds=0.0, usage=Usage())


def _reject(builder: DecisionBuilder, question: OpenQuestion, vote: Vote) -> None:
    """Plan the run again with the reason; end it if there is nothing to plan again, or it was done too often."""
    by_time = vote.by == TIMEKEEPER
    reason = vote.answer or "rejected without a reason"
    extend_deadline(builder)
    nothing_to_change = not builder.run.handoffs  # there is no plan: the question was about the task itself
    if nothing_to_change or builder.run.replans >= MAX_REPLANS:
        fail(
            builder, "no_decision" if by_time else "rejected", reason if by_time else f"rejected by {vote.by}: {reason}"
        )
        return
    builder.record(event.PlanDropped, by=vote.by, reason=reason)
    if builder.run.state is not State.PLANNING:
        builder.move(State.PLANNING, f"rejected: {reason}", by=vote.by)
