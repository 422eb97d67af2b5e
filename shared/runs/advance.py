"""Progress of a run from recorded facts: each state inspects them and moves on, sends requests, or waits.

Facts are recorded first, in any state; then `advance` acts on them. So the order in which independent results arrive
does not matter, and a run that was paused or waited for a person resumes from the facts it finds.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from schemas.error import ErrorInfo
from schemas.event import DeadlineMoved, HelpRequested, ReviewGiven, State, StepsReopened
from shared.runs.builder import DecisionBuilder
from shared.runs.clock import present_deadline
from shared.runs.digests import redone_unchanged
from shared.runs.dispatch import ask_for_plan, ask_for_review, dispatch
from shared.runs.ending import end, fail
from shared.runs.planning import descendants, last_steps, ready_steps
from shared.runs.run import LOOP, MAX_PLANS, MAX_REVISIONS, StepRecord
from shared.runs.tokens import request_id

HUMAN_TIMEOUT = timedelta(days=1)
"""Longest wait for a person's decision before the run fails."""


def advance(builder: DecisionBuilder) -> None:
    """Apply the rules of the states until the run waits for something, or has ended."""
    while (rule := _RULES.get(before := builder.run.state)) is not None:
        rule(builder)
        if builder.run.state is before:
            return


def extend_deadline(builder: DecisionBuilder) -> None:
    """Extend the deadline by the time for which the clock was stopped."""
    latest = present_deadline(builder.run, builder.now)
    if latest > builder.run.deadline:
        builder.record(DeadlineMoved, deadline=latest)


def _planning(builder: DecisionBuilder) -> None:
    run = builder.run
    if run.plan is not None:
        builder.move(State.EXECUTING, "a plan was accepted")
    elif run.planning.handoff_id is None and not _over_budget(builder):
        if not run.planning.given_up and run.planning.refusals < MAX_PLANS:
            ask_for_plan(builder)
            if builder.run.plan is not None:
                _planning(builder)
        else:
            error = run.planning.error or ErrorInfo(code="no_plan", message="; ".join(run.feedback))
            code = LOOP if error.code == LOOP else "no_plan"
            _fail_or_ask(builder, "plan", code, f"no plan could be accepted: {error.message}")


def _executing(builder: DecisionBuilder) -> None:
    steps = builder.run.steps.values()
    failed = next((record for record in steps if record.status == "failed"), None)
    asking = next((record for record in steps if record.status == "asking"), None)
    if failed is not None and failed.error is not None:
        message = f"step `{failed.step.id}` ({failed.step.agent}) failed: {failed.error.message}"
        fail(builder, failed.error.code, message, failed.error.suggested_action)
    elif asking is not None and asking.question is not None:
        ask_person(builder, "step", asking.question, asking.options, asking)
    elif all(record.status == "done" for record in steps):
        builder.move(State.REVIEWING, "all steps are done")
    else:
        _dispatch_ready(builder)


def _dispatch_ready(builder: DecisionBuilder) -> None:
    for record in ready_steps(builder.run):
        if _over_budget(builder):
            return
        dispatch(builder, record)


def _reviewing(builder: DecisionBuilder) -> None:
    run = builder.run
    if run.carried_out_by is not None:
        end(builder, State.COMPLETE, "the approved calls were made", by=run.carried_out_by)
    elif run.review is not None and run.review.accepted:
        end(builder, State.COMPLETE, "the result was accepted", by=run.review.by)
    elif run.review is not None:
        _revise(builder, run.review)
    elif run.reviewing.handoff_id is None and not _over_budget(builder):
        if same := redone_unchanged(run):
            _fail_or_ask(builder, "review", LOOP, _unchanged_message(same))
        elif not run.reviewing.given_up:
            ask_for_review(builder)
        else:
            why = run.reviewing.error.message if run.reviewing.error else "no verdict"
            _fail_or_ask(builder, "review", "no_review", f"the result could not be reviewed: {why}")


def _unchanged_message(steps: list[StepRecord]) -> str:
    named = ", ".join(f"`{record.step.id}`" for record in steps)
    reasons = "; ".join(dict.fromkeys(reason for record in steps for reason in record.feedback))
    return f"the reviewer asked for changes ({reasons}), but {named} returned the same output again"


def _revise(builder: DecisionBuilder, review: ReviewGiven) -> None:
    reasons = "; ".join(review.reasons) or "no reason given"
    if builder.run.revisions >= MAX_REVISIONS:
        _fail_or_ask(
            builder, "review", "not_accepted", f"the result was not accepted after {MAX_REVISIONS} revisions: {reasons}"
        )
        return
    builder.move(State.REVISING, f"the reviewer asks for changes: {reasons}", by=review.by)
    wanted = [key for key in review.redo if key in builder.run.steps] or last_steps(builder.run)
    builder.record(StepsReopened, step_ids=descendants(builder.run, wanted), feedback=review.reasons)
    builder.move(State.EXECUTING, "the steps to redo are open")


def _fail_or_ask(builder: DecisionBuilder, about: str, code: str, message: str) -> None:
    if builder.run.task.on_trouble == "wait":
        ask_person(
            builder,
            about,
            message,
            ["approve: retry, or accept the result as it is", "reject: make a new plan, with a reason"],
        )
    else:
        fail(builder, code, message)


def ask_person(
    builder: DecisionBuilder, about: str, question: str, options: list[str], asking: StepRecord | None = None
) -> None:
    """Wait for a person's decision, with a time limit."""
    proposal = asking.proposal if asking else None
    expires = builder.now + (timedelta(seconds=proposal.expires) if proposal else HUMAN_TIMEOUT)
    step_id = asking.step.id if asking else None
    wanted = request_id(builder.run, builder.run.requests + 1)
    asked: dict[str, Any] = {"about": about, "step_id": step_id, "question": question, "options": options}
    builder.record(HelpRequested, request_id=wanted, proposal=proposal, expires=expires, **asked)
    builder.move(State.WAITING_HUMAN, question)


def _over_budget(builder: DecisionBuilder) -> bool:
    over = builder.run.task.budget.exceeded_by(builder.run.usage)
    if over is not None:
        fail(builder, "budget_exhausted", over, "raise the budget of the task, or reduce its scope")
    return over is not None


_RULES: dict[State, Callable[[DecisionBuilder], None]] = {
    State.PLANNING: _planning,
    State.EXECUTING: _executing,
    State.REVIEWING: _reviewing,
}
