"""Handoffs of a run to planner, specialists, writer and reviewer."""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from schemas.brief import Colleague, HandedBrief
from schemas.event import PlanAccepted, PlanRequested, ReviewRequested, SynthesisRequested
from schemas.message import MOST_SECONDS
from schemas.plan import PLANNER, REVIEWER, WRITER, Plan, PlannedStep
from schemas.step import DoStep, MakePlan, ReviewResult, StepOutput, answer_id
from schemas.step_events import StepDispatched
from schemas.synthesis import WriteAnswer
from schemas.task import Shape
from shared.runs.builder import DecisionBuilder
from shared.runs.handing import colleagues, why_answer
from shared.runs.planning import Agents, ancestors, hops, last_steps
from shared.runs.run import FRUGAL_FROM, HandoffState, Run, StepRecord, handoff_name, last_answer_id
from shared.runs.tokens import token_for

PLAN, WRITE, REVIEW = "@plan", "@write", "@review"
"""Parts of handoff ids to planner, writer and reviewer in place of a step's id, which cannot start with `@`."""

RETRY_DELAY = timedelta(seconds=2)
"""Longest delay after a first failure; doubled for each further one."""

LONGEST_DELAY = timedelta(seconds=15)
"""Longest delay after any number of failures."""


def ask_for_plan(builder: DecisionBuilder) -> None:
    """Ask the planner; accept the obvious plan of a task that names its agent without asking."""
    task, request = builder.run.task, builder.run.planning
    if task.shape in (Shape.SINGLE, Shape.SWARM) and task.agent:
        only = PlannedStep(id=task.agent, objective=task.objective, agent=task.agent)
        builder.record(PlanAccepted, plan=Plan(steps=[only], rationale="the task names its agent"))
        return
    handoff_id = _next_id(builder.run, PLAN, request)
    due = retry_at(builder.now, handoff_id, request.attempts_since_resume) if request.error else None
    handoff = plan_request(builder.run, handoff_id, builder.now, builder.agents)
    builder.record(PlanRequested, handoff_id=handoff_id)
    builder.send(handoff_id, handoff, due)


def dispatch(builder: DecisionBuilder, record: StepRecord) -> None:
    """Hand a step to its agent, after failures with exponential backoff."""
    step, card = record.step, builder.agents.get(record.step.agent)
    handoff_id = _next_id(builder.run, step.id, record)
    handoff = step_request(builder.run, record, handoff_id, builder.now, builder.agents)
    builder.record(
        StepDispatched,
        step_id=step.id,
        agent=step.agent,
        objective=step.objective,
        handoff_id=handoff_id,
        attempt=handoff.attempt,
        versions=card.versions if card else None,
    )
    due = retry_at(builder.now, handoff_id, record.attempts_since_resume)
    builder.send(handoff_id, handoff, due, follows=(builder.run.steps[id] for id in step.depends_on))


def ask_for_synthesis(builder: DecisionBuilder) -> None:
    """Ask the writer for one answer from the outputs of the steps."""
    request = builder.run.writing
    handoff_id = _next_id(builder.run, WRITE, request)
    due = retry_at(builder.now, handoff_id, request.attempts_since_resume) if request.error else None
    handoff = write_request(builder.run, handoff_id, builder.now)
    builder.record(SynthesisRequested, handoff_id=handoff_id)
    builder.send(handoff_id, handoff, due, follows=builder.run.steps.values())


def ask_for_review(builder: DecisionBuilder) -> None:
    """Ask the reviewer whether the outputs of the steps meet the objective."""
    request = builder.run.reviewing
    handoff_id = _next_id(builder.run, REVIEW, request)
    due = retry_at(builder.now, handoff_id, request.attempts_since_resume) if request.error else None
    handoff = review_request(builder.run, handoff_id, builder.now)
    builder.record(ReviewRequested, handoff_id=handoff_id)
    builder.send(handoff_id, handoff, due, follows=() if builder.run.synthesis else builder.run.steps.values())


def plan_request(run: Run, handoff_id: str, now: datetime, agents: Agents) -> MakePlan:
    """Return the handoff with that id to the planner, for sending or resending."""
    task = run.task
    return MakePlan(
        **_request(run, handoff_id, PLANNER, task.objective, run.planning, now),
        parent_id=run.task_id,
        feedback=run.feedback,
        shape=Shape.ROUTER if task.shape is Shape.SWARM else task.shape,
        agents=[card.for_planner() for card in agents.values() if card.plannable],
        max_steps=1 if task.shape in (Shape.ROUTER, Shape.SWARM) else task.budget.steps,
    )


def step_request(run: Run, record: StepRecord, handoff_id: str, now: datetime, agents: Agents) -> DoStep:
    """Return the handoff with that id to a step's agent, for sending or resending."""
    step = record.step
    return DoStep(
        **_swarm(run, record, agents),
        parent_id=_parent(run, [run.steps[key] for key in step.depends_on]),
        hop=hops(run)[step.id],
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


def write_request(run: Run, handoff_id: str, now: datetime) -> WriteAnswer:
    """Return the handoff with that id to the writer, for sending or resending."""
    assert run.plan is not None, "a synthesis needs a plan"
    return WriteAnswer(
        **_request(run, handoff_id, WRITER, run.task.objective, run.writing, now),
        feedback=[*run.feedback, *run.rewrite_feedback],
        inputs=[_output(record) for record in run.steps.values()],
        plan=run.plan,
    )


def review_request(run: Run, handoff_id: str, now: datetime) -> ReviewResult:
    """Return the handoff with that id to the reviewer, for sending or resending."""
    assert run.plan is not None, "a review needs a plan"
    return ReviewResult(
        **_request(run, handoff_id, REVIEWER, run.task.objective, run.reviewing, now),
        parent_id=_parent(run, [run.steps[key] for key in last_steps(run)]),
        hop=1 + max(hops(run).values()),
        feedback=run.feedback,
        inputs=[_output(record) for record in run.steps.values()],
        plan=run.plan,
        synthesis=run.synthesis,
    )


def retry_at(now: datetime, handoff_id: str, failures: int) -> datetime | None:
    """Return the time of the next attempt after so many failures; None (immediately) before the first.

    Exponential backoff with full jitter (between zero and the longest delay), derived from the handoff's id, so that
    decisions stay deterministic.
    """
    if not failures:
        return None
    longest = min(RETRY_DELAY * (1 << (failures - 1)), LONGEST_DELAY)
    drawn = int.from_bytes(hashlib.sha256(handoff_id.encode()).digest()[:4], "big") / 2.0**32
    return now + drawn * longest


def is_ahead(run: Run, handoff_id: str) -> bool:
    """Return True if the run has not sent this handoff yet: it was sent before the blackboard was lost."""
    try:
        what, place = handoff_id.removeprefix(f"{run.id}/").split("/")
        replans, round_, number = map(int, place.split("."))
    except ValueError:
        return False
    if replans != run.replans:
        return replans > run.replans
    works: dict[str, HandoffState] = {PLAN: run.planning, WRITE: run.writing, REVIEW: run.reviewing, **run.steps}
    work = works.get(what)
    if work is None:  # a swarm's steps are added one by one
        return run.plan is None or run.task.shape is Shape.SWARM
    return (round_, number) > (work.round, work.handoffs_in_round)


def step_named(run: Run, handoff_id: str) -> str | None:
    """Return the step of the present plan that the handoff belongs to; None for other agents and plans."""
    what, _, place = handoff_id.removeprefix(f"{run.id}/").partition("/")
    return what if what in run.steps and place.startswith(f"{run.replans}.") else None


def _next_id(run: Run, what: str, work: HandoffState) -> str:
    return handoff_name(run, what, work, work.handoffs_in_round + 1)


def _request(
    run: Run, handoff_id: str, agent: str, objective: str, work: HandoffState, now: datetime
) -> dict[str, Any]:
    resent = work.handoff_id == handoff_id
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
        "attempt": work.attempts_since_resume + getattr(work, "refusals", 0) + (not resent),
        "priority": run.task.priority,
        "permitted": run.task.tools,
        "dry_run": run.task.dry_run and run.carried_out_by is None,
        "memory": run.task.memory,
        "session": run.task.session,
        "conversation": run.conversation,
        "messages": run.messages,
        "token": token_for(run, handoff_id, agent),
        "effected": run.effected,
        "effected_dropped": run.effected_dropped,
    }


def _parent(run: Run, before: Sequence[StepRecord]) -> str:
    """Return the id of the message that causes a handoff: the last answer it builds on, or the task."""
    if before:
        return last_answer_id(run, before[-1])
    return answer_id(run.plan_handoff) if run.plan_handoff else run.task_id


def _swarm(run: Run, record: StepRecord, agents: Agents) -> dict[str, Any]:
    """Return what a step of shape `swarm` says about handing over; empty for other shapes."""
    if run.task.shape is not Shape.SWARM:
        return {}
    before, must_answer = ancestors(run, record.step.id), why_answer(run, record)
    names = [] if must_answer else colleagues(run, record, agents)
    return {
        "path": [*(each.step.agent for each in before), record.step.agent],
        "colleagues": [Colleague(name=name, description=agents[name].description) for name in names],
        "must_answer": must_answer,
        "handed": _handed(before[-1]) if before else None,
    }


def _handed(record: StepRecord) -> HandedBrief | None:
    if (said := record.handed) is None:
        return None
    step = record.step
    return HandedBrief(by=step.agent, step_id=step.id, brief=said.brief, digest=said.digest, tainted=said.tainted)


def _output(record: StepRecord) -> StepOutput:
    assert record.output is not None, "a step depends only on completed steps"
    return StepOutput(
        step_id=record.step.id, agent=record.step.agent, objective=record.step.objective, output=record.output
    )
