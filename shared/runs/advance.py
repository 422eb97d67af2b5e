"""Progress of a run from recorded facts: each state inspects them and moves on, sends requests, or waits.

Facts are recorded first, in any state; then `advance` acts on them. So the order in which independent results arrive
does not matter, and a run that was paused or waited for a person resumes from the facts it finds.
"""

from collections.abc import Callable
from typing import Literal

from schemas.error import ErrorInfo
from schemas.event import ReviewGiven, State
from schemas.plan import Plan
from schemas.question import Kind
from schemas.step_events import StepsReopened
from schemas.task import Shape
from shared.runs.builder import DecisionBuilder
from shared.runs.deadlines import extend_deadline
from shared.runs.digests import plan_digest, redone_unchanged
from shared.runs.dispatch import ask_for_plan, ask_for_review, dispatch
from shared.runs.ending import end, fail
from shared.runs.outcomes import apply_decisions
from shared.runs.planning import descendants, last_steps, ready_steps
from shared.runs.questions import Draft, asks_about_failure, plan_question, raise_question, raise_step_questions
from shared.runs.run import LOOP, MAX_PLANS, MAX_REVISIONS, Run, StepRecord, in_flight
from shared.runs.synthesis import await_synthesis


def advance(builder: DecisionBuilder) -> None:
    """Apply decisions and the rules of the states until the run waits for something, or has ended."""
    while True:
        apply_decisions(builder)
        before = builder.run.state
        if (rule := _RULES.get(before)) is None:
            return
        rule(builder)
        if builder.run.state is before:
            return


def wait(builder: DecisionBuilder) -> None:
    """Wait for people: nothing else can proceed, or nothing else may."""
    first = next(iter(builder.run.questions.values()))
    builder.move(State.WAITING_HUMAN, first.asked.question)


def _planning(builder: DecisionBuilder) -> None:
    run = builder.run
    if run.plan is not None:
        _accept(builder, run.plan)
    elif run.planning.handoff_id is None and not _over_budget(builder):
        if not run.planning.given_up and run.planning.refusals < MAX_PLANS:
            ask_for_plan(builder)
            if builder.run.plan is not None:
                _planning(builder)
        else:
            error = run.planning.error or ErrorInfo(code="no_plan", message="; ".join(run.feedback))
            code = LOOP if error.code == LOOP else "no_plan"
            _fail_or_ask(builder, Kind.FAILURE, "plan", code, f"no plan could be accepted: {error.message}")


def _accept(builder: DecisionBuilder, plan: Plan) -> None:
    """Execute the plan, once people have approved it if its risks need that. A dry run acts on nothing."""
    ask = builder.governance.policy(builder.run.tenant).plans.ask
    risky = [step for step in plan.steps if step.risk in ask]
    if risky and builder.run.plan_approved != plan_digest(plan) and not builder.run.task.dry_run:
        raise_question(builder, plan_question(plan, risky))
        wait(builder)
    else:
        builder.move(State.EXECUTING, "a plan was accepted")


def _executing(builder: DecisionBuilder) -> None:
    if (failed := _failed_for_good(builder)) is not None and failed.error is not None:
        message = f"step `{failed.step.id}` ({failed.step.agent}) failed: {failed.error.message}"
        fail(builder, failed.error.code, message, failed.error.suggested_action)
        return
    raise_step_questions(builder)
    if all(record.status == "done" for record in builder.run.steps.values()):
        if not await_synthesis(builder):
            builder.move(State.REVIEWING, "all steps are done")
        return
    if not builder.run.is_blocked:
        _dispatch_ready(builder)
    run = builder.run
    if run.state is State.EXECUTING and run.questions and (run.is_blocked or not in_flight(run)):
        wait(builder)


def _failed_for_good(builder: DecisionBuilder) -> StepRecord | None:
    """Return the first failed step about which people are not asked."""
    failed = (record for record in builder.run.steps.values() if record.status == "failed")
    return next((record for record in failed if not asks_about_failure(builder, record)), None)


def _waiting(builder: DecisionBuilder) -> None:
    """Return to work once a decision, or an agent that was at work, lets something proceed."""
    back = builder.run.waiting_from
    assert back is not None, "a waiting run has a state to return to"
    if back is State.EXECUTING:
        raise_step_questions(builder)
    if not builder.run.questions or (back is State.EXECUTING and _can_proceed(builder)):
        extend_deadline(builder)
        builder.move(back, "a decision was made" if back is not State.EXECUTING else "work can proceed")


def _can_proceed(builder: DecisionBuilder) -> bool:
    run = builder.run
    working = not run.is_blocked and bool(ready_steps(run) or in_flight(run))
    return working or _failed_for_good(builder) is not None


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
            _fail_or_ask(builder, Kind.REVIEW, "review", LOOP, _unchanged_message(run, same))
        elif not run.reviewing.given_up:
            ask_for_review(builder)
        else:
            why = run.reviewing.error.message if run.reviewing.error else "no verdict"
            _fail_or_ask(builder, Kind.REVIEW, "review", "no_review", f"the result could not be reviewed: {why}")


def _unchanged_message(run: Run, works: list[str]) -> str:
    named = ", ".join(f"`{each}`" for each in works)
    told = [reason for key in works if key in run.steps for reason in run.steps[key].feedback]
    reasons = "; ".join(dict.fromkeys([*told, *run.rewrite_feedback]))
    return f"the reviewer asked for changes ({reasons}), but {named} returned the same output again"


def _revise(builder: DecisionBuilder, review: ReviewGiven) -> None:
    reasons = "; ".join(review.reasons) or "no reason given"
    if builder.run.revisions >= MAX_REVISIONS:
        message = f"the result was not accepted after {MAX_REVISIONS} revisions: {reasons}"
        _fail_or_ask(builder, Kind.REVIEW, "review", "not_accepted", message)
        return
    builder.move(State.REVISING, f"the reviewer asks for changes: {reasons}", by=review.by)
    wanted = [key for key in review.redo if key in builder.run.steps]
    if builder.run.task.shape is Shape.SWARM:
        wanted = []  # the path stays: its last agent has all briefs, and hands over again if it must
    if not wanted and builder.run.synthesis is None:
        wanted = last_steps(builder.run)
    builder.record(StepsReopened, step_ids=descendants(builder.run, wanted), feedback=review.reasons)
    builder.move(State.EXECUTING, "the steps to redo are open")


def _fail_or_ask(
    builder: DecisionBuilder, kind: Kind, about: Literal["plan", "review"], code: str, message: str
) -> None:
    if builder.run.task.on_trouble == "wait":
        raise_question(builder, Draft(kind, about, message, _RETRY_OR_REJECT))
        wait(builder)
    else:
        fail(builder, code, message)


def _over_budget(builder: DecisionBuilder) -> bool:
    over = builder.run.task.budget.exceeded_by(builder.run.usage)
    if over is not None:
        fail(builder, "budget_exhausted", over, "raise the budget of the task, or reduce its scope")
    return over is not None


_RETRY_OR_REJECT = ("approve: retry, or accept the result as it is", "reject: make a new plan, with a reason")

_RULES: dict[State, Callable[[DecisionBuilder], None]] = {
    State.PLANNING: _planning,
    State.EXECUTING: _executing,
    State.REVIEWING: _reviewing,
    State.WAITING_HUMAN: _waiting,
}
