"""How a run asks: the handoffs to planner, specialists and reviewer."""

from datetime import datetime, timedelta
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

RETRY_DELAY = timedelta(seconds=3)
"""Wait after a first failure; doubled for each further one."""


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
    due = _due(draft, draft.run.planning.attempts) if draft.run.planning.error else None
    draft.record(PlanRequested, handoff_id=handoff.id)
    draft.send(handoff.id, handoff, due)


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
    draft.send(handoff.id, handoff, _due(draft, record.attempts))


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
    due = _due(draft, run.reviewing.attempts) if run.reviewing.error else None
    draft.record(ReviewRequested, handoff_id=handoff.id)
    draft.send(handoff.id, handoff, due)


def _due(draft: Draft, failures: int) -> datetime | None:
    """When to try again after so many failures; None before the first: at once."""
    return draft.now + RETRY_DELAY * 2 ** (failures - 1) if failures else None


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
