"""How a run asks: the handoffs to planner, specialists and reviewer."""

import hashlib
from datetime import datetime, timedelta
from typing import Any

from schemas.event import PlanAccepted, PlanRequested, ReviewRequested, StepDispatched
from schemas.message import MOST_SECONDS
from schemas.plan import Plan, PlannedStep
from schemas.step import DoStep, MakePlan, ReviewResult, StepOutput
from schemas.task import Shape
from shared.runs.draft import Draft
from shared.runs.planning import Agents, ancestors
from shared.runs.run import FRUGAL_FROM, Job, Run, StepRecord, handoff_name
from shared.runs.tokens import token_for

PLANNER = "planner"
REVIEWER = "reviewer"

PLAN, REVIEW = "@plan", "@review"
"""What ids of handoffs to planner and reviewer say instead of a step's id, which cannot begin so."""

RETRY_DELAY = timedelta(seconds=2)
"""The longest wait after a first failure; doubled for each further one."""

LONGEST_DELAY = timedelta(seconds=15)
"""The longest wait after any number of failures."""


def ask_for_plan(draft: Draft) -> None:
    """Ask the planner; for shape `single` the plan is plain and nobody needs to be asked."""
    task, job = draft.run.task, draft.run.planning
    if task.shape is Shape.SINGLE and task.agent:
        only = PlannedStep(id=task.agent, objective=task.objective, agent=task.agent)
        draft.record(PlanAccepted, plan=Plan(steps=[only], rationale="the task names its agent"))
        return
    handoff_id = _next_id(draft.run, PLAN, job)
    due = retry_at(draft.now, handoff_id, job.attempts) if job.error else None
    handoff = plan_request(draft.run, handoff_id, draft.now, draft.agents)
    draft.record(PlanRequested, handoff_id=handoff_id)
    draft.send(handoff_id, handoff, due)


def dispatch(draft: Draft, record: StepRecord) -> None:
    """Hand a step to its agent; after a failure with a delay that doubles."""
    step, card = record.step, draft.agents.get(record.step.agent)
    handoff_id = _next_id(draft.run, step.id, record)
    handoff = step_request(draft.run, record, handoff_id, draft.now)
    draft.record(
        StepDispatched,
        step_id=step.id,
        agent=step.agent,
        objective=step.objective,
        handoff_id=handoff_id,
        attempt=handoff.attempt,
        versions=card.versions if card else None,
    )
    due = retry_at(draft.now, handoff_id, record.attempts)
    draft.send(handoff_id, handoff, due, follows=(draft.run.steps[id] for id in step.depends_on))


def ask_for_review(draft: Draft) -> None:
    """Ask the reviewer whether what the steps brought meets the objective."""
    job = draft.run.reviewing
    handoff_id = _next_id(draft.run, REVIEW, job)
    due = retry_at(draft.now, handoff_id, job.attempts) if job.error else None
    handoff = review_request(draft.run, handoff_id, draft.now)
    draft.record(ReviewRequested, handoff_id=handoff_id)
    draft.send(handoff_id, handoff, due, follows=draft.run.steps.values())


def plan_request(run: Run, handoff_id: str, now: datetime, agents: Agents) -> MakePlan:
    """The handoff of that id to the planner, to be asked for or asked for already."""
    task = run.task
    return MakePlan(
        **_request(run, handoff_id, PLANNER, task.objective, run.planning, now),
        feedback=run.feedback,
        shape=task.shape,
        agents=[card for card in agents.values() if card.plannable],
        max_steps=1 if task.shape is Shape.ROUTER else task.budget.steps,
    )


def step_request(run: Run, record: StepRecord, handoff_id: str, now: datetime) -> DoStep:
    """The handoff of that id to a step's agent, to be asked for or asked for already."""
    step = record.step
    return DoStep(
        **_request(run, handoff_id, step.agent, step.objective, record, now),
        feedback=[*run.feedback, *record.feedback],
        inputs=[_output(each) for each in ancestors(run, step.id)],
        step_id=step.id,
        tools=step.tools,
        risk=step.risk,
        plan_is_tainted=run.plan_is_tainted,
        settled=record.settled,
        acted=run.acted,
        effects=record.effects,
    )


def review_request(run: Run, handoff_id: str, now: datetime) -> ReviewResult:
    """The handoff of that id to the reviewer, to be asked for or asked for already."""
    assert run.plan is not None, "a review needs a plan"
    return ReviewResult(
        **_request(run, handoff_id, REVIEWER, run.task.objective, run.reviewing, now),
        feedback=run.feedback,
        inputs=[_output(record) for record in run.steps.values()],
        plan=run.plan,
    )


def retry_at(now: datetime, handoff_id: str, failures: int) -> datetime | None:
    """When to try again after so many failures; None before the first: at once.

    Exponential backoff with full jitter (anything between nothing and the longest wait), drawn from the handoff's id:
    a decision has no chance in it.
    """
    if not failures:
        return None
    longest = min(RETRY_DELAY * (1 << (failures - 1)), LONGEST_DELAY)
    drawn = int.from_bytes(hashlib.sha256(handoff_id.encode()).digest()[:4], "big") / 2.0**32
    return now + drawn * longest


def is_ahead(run: Run, handoff_id: str) -> bool:
    """Whether the run has not asked for this yet: it did, before the blackboard was lost, and will again."""
    try:
        what, place = handoff_id.removeprefix(f"{run.id}/").split("/")
        replans, round_, tries = map(int, place.split("."))
    except ValueError:
        return False
    if replans != run.replans:
        return replans > run.replans
    works: dict[str, Job | StepRecord] = {PLAN: run.planning, REVIEW: run.reviewing} | run.steps
    work = works.get(what)
    return run.plan is None if work is None else (round_, tries) > (work.round, work.tries)


def step_named(run: Run, handoff_id: str) -> str | None:
    """The step of the present plan that the handoff is one of; None for another plan's, a plan's or a review's."""
    what, _, place = handoff_id.removeprefix(f"{run.id}/").partition("/")
    return what if what in run.steps and place.startswith(f"{run.replans}.") else None


def _next_id(run: Run, what: str, work: Job | StepRecord) -> str:
    return handoff_name(run, what, work, work.tries + 1)


def _request(
    run: Run, handoff_id: str, agent: str, objective: str, work: Job | StepRecord, now: datetime
) -> dict[str, Any]:
    asked_already = work.handoff_id == handoff_id
    return {
        "id": handoff_id,
        "work_id": handoff_id.rpartition(".")[0],
        "run_id": run.id,
        "task_id": run.task_id,
        "tenant": run.tenant,
        "agent": agent,
        "objective": objective,
        "task_objective": run.task.objective,
        "destinations": run.task.destinations,
        "context": run.task.context,
        "constraints": run.task.constraints,
        "budget": run.task.budget,
        "budget_left": run.task.budget.less(run.usage),
        "frugal": run.budget_reached >= FRUGAL_FROM,
        "timeout": min(max(1.0, (run.deadline - now).total_seconds()), MOST_SECONDS),
        "deadline": run.deadline,
        "attempt": work.attempts + getattr(work, "refusals", 0) + (not asked_already),
        "priority": run.task.priority,
        "permitted": run.task.tools,
        "hop": run.handoffs + (not asked_already),
        "dry_run": run.task.dry_run and run.carried_out_by is None,
        "session": run.task.session,
        "token": token_for(run, handoff_id, agent),
        "effected": run.effected,
        "effected_dropped": run.effected_dropped,
    }


def _output(record: StepRecord) -> StepOutput:
    assert record.output is not None, "only done steps are built on"
    return StepOutput(
        step_id=record.step.id, agent=record.step.agent, objective=record.step.objective, output=record.output
    )
