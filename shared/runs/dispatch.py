"""How a run asks: the handoffs to planner, specialists and reviewer."""

from datetime import timedelta
from typing import Any

from schemas.event import PlanAccepted, PlanRequested, ReviewRequested, StepDispatched
from schemas.plan import Plan, PlannedStep
from schemas.step import DoStep, MakePlan, ReviewResult, StepOutput
from schemas.task import Shape
from shared.runs.draft import Draft
from shared.runs.planning import ancestors
from shared.runs.run import StepRecord

PLANNER = "planner"
REVIEWER = "reviewer"

RETRY_DELAY = timedelta(seconds=1)
"""Wait before a step's second attempt; doubled for each further one."""


def ask_for_plan(draft: Draft) -> None:
    """Ask the planner; for shape `single` the plan is plain and nobody needs to be asked."""
    task = draft.run.task
    if task.shape is Shape.SINGLE and task.agent:
        only = PlannedStep(id=task.agent, objective=task.objective, agent=task.agent)
        draft.record(PlanAccepted, plan=Plan(steps=[only], rationale="the task names its agent"))
        return
    handoff = MakePlan(
        **_request(draft, "plan", PLANNER, task.objective),
        feedback=draft.run.feedback,
        attempt=draft.run.planning.attempts + 1,
        shape=task.shape,
        agents=[card for card in draft.agents.values() if card.plannable],
        max_steps=1 if task.shape is Shape.ROUTER else task.budget.steps,
    )
    draft.record(PlanRequested, handoff_id=handoff.id)
    draft.send(handoff.id, handoff)


def dispatch(draft: Draft, record: StepRecord) -> None:
    """Hand a step to its agent; after a failure with a delay that doubles."""
    step, attempt = record.step, record.attempts + 1
    handoff = DoStep(
        **_request(draft, step.id, step.agent, step.objective),
        feedback=[*draft.run.feedback, *record.feedback],
        attempt=attempt,
        inputs=[_output(each) for each in ancestors(draft.run, step.id)],
        step_id=step.id,
        tools=step.tools,
    )
    draft.record(
        StepDispatched,
        step_id=step.id,
        agent=step.agent,
        objective=step.objective,
        handoff_id=handoff.id,
        attempt=attempt,
    )
    delay = RETRY_DELAY * 2 ** (attempt - 2) if attempt > 1 else None
    draft.send(handoff.id, handoff, draft.now + delay if delay else None)


def ask_for_review(draft: Draft) -> None:
    """Ask the reviewer whether what the steps brought meets the objective."""
    run = draft.run
    assert run.plan is not None, "a review needs a plan"
    handoff = ReviewResult(
        **_request(draft, "review", REVIEWER, run.task.objective),
        feedback=run.feedback,
        attempt=run.reviewing.attempts + 1,
        inputs=[_output(record) for record in run.steps.values()],
        plan=run.plan,
    )
    draft.record(ReviewRequested, handoff_id=handoff.id)
    draft.send(handoff.id, handoff)


def _request(draft: Draft, what: str, agent: str, objective: str) -> dict[str, Any]:
    run, number = draft.run, draft.run.handoffs + 1
    return {
        "id": f"{run.id}/{what}/{number}",
        "run_id": run.id,
        "task_id": run.task_id,
        "tenant": run.tenant,
        "agent": agent,
        "objective": objective,
        "context": run.task.context,
        "constraints": run.task.constraints,
        "budget_left": run.task.budget.less(run.usage),
        "timeout": max(1.0, (run.deadline - draft.now).total_seconds()),
        "deadline": run.deadline,
        "hop": number,
        "dry_run": run.task.dry_run,
        "session": run.task.session,
    }


def _output(record: StepRecord) -> StepOutput:
    assert record.output is not None, "only done steps are built on"
    return StepOutput(
        step_id=record.step.id, agent=record.step.agent, objective=record.step.objective, output=record.output
    )
