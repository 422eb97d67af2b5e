"""Where a run goes from what is known: each state looks at the facts and moves on, asks, or rests.

Facts are recorded first, whatever the state; then `advance` acts on them. So the order in which independent results
arrive does not matter, and a run that was paused or waited for a person goes on from the facts it finds.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from schemas.error import ErrorInfo
from schemas.event import DeadlineMoved, HelpRequested, ReviewGiven, State, StepsReopened
from shared.runs.clock import present_deadline
from shared.runs.digests import redone_unchanged
from shared.runs.dispatch import ask_for_plan, ask_for_review, dispatch
from shared.runs.draft import Draft
from shared.runs.ending import end, fail
from shared.runs.planning import descendants, last_steps, ready
from shared.runs.run import LOOP, MAX_PLANS, MAX_REVISIONS, StepRecord
from shared.runs.tokens import request_id

HUMAN_TIMEOUT = timedelta(days=1)
"""How long a run waits for a person before it fails."""


def advance(draft: Draft) -> None:
    """Go on until the run rests: something is awaited, or the run has ended."""
    while (rule := _RULES.get(before := draft.run.state)) is not None:
        rule(draft)
        if draft.run.state is before:
            return


def give_back_time(draft: Draft) -> None:
    """Move the deadline by as long as the clock has stood still."""
    latest = present_deadline(draft.run, draft.now)
    if latest > draft.run.deadline:
        draft.record(DeadlineMoved, deadline=latest)


def _planning(draft: Draft) -> None:
    run = draft.run
    if run.plan is not None:
        draft.move(State.EXECUTING, "a plan was accepted")
    elif run.planning.handoff_id is None and not _over_budget(draft):
        if not run.planning.given_up and run.planning.refusals < MAX_PLANS:
            ask_for_plan(draft)
            if draft.run.plan is not None:
                _planning(draft)
        else:
            error = run.planning.error or ErrorInfo(code="no_plan", message="; ".join(run.feedback))
            code = LOOP if error.code == LOOP else "no_plan"
            _trouble(draft, "plan", code, f"no plan could be accepted: {error.message}")


def _executing(draft: Draft) -> None:
    steps = draft.run.steps.values()
    failed = next((record for record in steps if record.status == "failed"), None)
    asking = next((record for record in steps if record.status == "asking"), None)
    if failed is not None and failed.error is not None:
        message = f"step `{failed.step.id}` ({failed.step.agent}) failed: {failed.error.message}"
        fail(draft, failed.error.code, message, failed.error.suggested_action)
    elif asking is not None and asking.question is not None:
        ask_person(draft, "step", asking.question, asking.options, asking)
    elif all(record.status == "done" for record in steps):
        draft.move(State.REVIEWING, "all steps are done")
    else:
        _dispatch_ready(draft)


def _dispatch_ready(draft: Draft) -> None:
    for record in ready(draft.run):
        if _over_budget(draft):
            return
        dispatch(draft, record)


def _reviewing(draft: Draft) -> None:
    run = draft.run
    if run.carried_out_by is not None:
        end(draft, State.COMPLETE, "what was approved is done", by=run.carried_out_by)
    elif run.review is not None and run.review.accepted:
        end(draft, State.COMPLETE, "the result was accepted", by=run.review.by)
    elif run.review is not None:
        _revise(draft, run.review)
    elif run.reviewing.handoff_id is None and not _over_budget(draft):
        if same := redone_unchanged(run):
            _trouble(draft, "review", LOOP, _nothing_changed(same))
        elif not run.reviewing.given_up:
            ask_for_review(draft)
        else:
            why = run.reviewing.error.message if run.reviewing.error else "no verdict"
            _trouble(draft, "review", "no_review", f"the result could not be reviewed: {why}")


def _nothing_changed(steps: list[StepRecord]) -> str:
    named = ", ".join(f"`{record.step.id}`" for record in steps)
    reasons = "; ".join(dict.fromkeys(reason for record in steps for reason in record.feedback))
    return f"the reviewer asked for changes ({reasons}); done again, {named} brought the same as before"


def _revise(draft: Draft, review: ReviewGiven) -> None:
    reasons = "; ".join(review.reasons) or "no reason given"
    if draft.run.revisions >= MAX_REVISIONS:
        _trouble(
            draft, "review", "not_accepted", f"the result was not accepted after {MAX_REVISIONS} revisions: {reasons}"
        )
        return
    draft.move(State.REVISING, f"the reviewer asks for changes: {reasons}", by=review.by)
    wanted = [key for key in review.redo if key in draft.run.steps] or last_steps(draft.run)
    draft.record(StepsReopened, step_ids=descendants(draft.run, wanted), feedback=review.reasons)
    draft.move(State.EXECUTING, "the steps to do again are open")


def _trouble(draft: Draft, about: str, code: str, message: str) -> None:
    if draft.run.task.on_trouble == "wait":
        ask_person(draft, about, message, ["approve: try again or accept as it is", "reject: plan anew, with a reason"])
    else:
        fail(draft, code, message)


def ask_person(draft: Draft, about: str, question: str, options: list[str], asking: StepRecord | None = None) -> None:
    """Wait until a person has decided, but not for ever."""
    proposal = asking.proposal if asking else None
    expires = draft.now + (timedelta(seconds=proposal.expires) if proposal else HUMAN_TIMEOUT)
    step_id = asking.step.id if asking else None
    wanted = request_id(draft.run, draft.run.requests + 1)
    asked: dict[str, Any] = {"about": about, "step_id": step_id, "question": question, "options": options}
    draft.record(HelpRequested, request_id=wanted, proposal=proposal, expires=expires, **asked)
    draft.move(State.WAITING_HUMAN, question)


def _over_budget(draft: Draft) -> bool:
    over = draft.run.task.budget.exceeded_by(draft.run.usage)
    if over is not None:
        fail(draft, "budget_exhausted", over, "give the task a larger budget, or ask for less")
    return over is not None


_RULES: dict[State, Callable[[Draft], None]] = {
    State.PLANNING: _planning,
    State.EXECUTING: _executing,
    State.REVIEWING: _reviewing,
}
