"""What is answered about runs."""

from collections.abc import Iterable
from datetime import UTC, datetime

from pydantic import Field, JsonValue

from schemas.budget import Budget, Usage
from schemas.error import ErrorInfo
from schemas.event import HelpRequested, State
from schemas.message import Instant, Part
from schemas.plan import Plan
from schemas.stop import WorkStopped
from schemas.task import StepSummary
from services.gateway.dependencies import RunSnapshot
from shared.blackboard import UnreadableRun
from shared.runs import Run
from shared.runs.awaiting import awaited_handoffs
from shared.runs.clock import present_deadline
from shared.runs.dispatch import PLANNER, REVIEWER
from shared.runs.result import summary
from shared.service.kill_switch import StopScope, stop_reason


class Links(Part):
    """Where to go on from here: paths at this gateway."""

    self: str
    events: str
    result: str


class Submitted(Part):
    """A task that Kafka has."""

    run_id: str
    task_id: str
    tenant: str
    links: Links


class Commanded(Part):
    """A command that Kafka has; the run's events tell what comes of it."""

    run_id: str
    tenant: str
    message_id: str


class RunLine(Part):
    """A run in a list."""

    run_id: str
    state: State
    objective: str
    started: Instant
    finished: Instant | None
    reason: str = Field(description="Why it is in this state.")
    steps_done: int
    steps_total: int
    cost_usd: float
    unreadable: bool = Field(False, description="Its record cannot be read; `reason` says why. It can be cancelled.")


class RunPage(Part):
    """Runs, the newest first."""

    runs: list[RunLine]
    next_offset: int | None = Field(description="Where the next page begins; null when there is none.")


class ApprovalView(Part):
    """A question that a run waits with."""

    run_id: str
    objective: str
    asked: HelpRequested
    usage: Usage = Field(description="What the run has used until now.")
    budget: Budget


class ApprovalPage(Part):
    """Questions, those of the newest runs first."""

    approvals: list[ApprovalView]
    unreadable: list[RunLine] = Field(
        default_factory=list, description="Runs that wait for a person and whose records cannot be read."
    )
    next_offset: int | None = Field(description="Where the next page begins; null when there is none.")


class ParkedWork(Part):
    """Work that an operator has stopped; it goes on when that is lifted."""

    handoff_id: str
    agent: str
    reason: str = Field(description="What was stopped, by whom and why.")


class RunView(Part):
    """A run as it stands now."""

    run_id: str
    task_id: str
    tenant: str
    state: State
    settling: bool = Field(False, description="It has ended; the result follows when agents at work have reported.")
    reason: str = Field(description="Why it is in this state.")
    objective: str
    started: Instant
    deadline: Instant | None
    finished: Instant | None
    version: int = Field(description="Rises with every change; 0 before the first.")
    plan: Plan | None
    steps: list[StepSummary] = Field(description="In the plan's order.")
    usage: Usage
    models: list[str]
    waiting_for: HelpRequested | None = Field(description="The question that a person has to answer.")
    error: ErrorInfo | None
    parked: list[ParkedWork] = Field(default_factory=list, description="Work under way that an operator has stopped.")


class JournalView(Part):
    """What was recorded while a handoff was worked on: prompts, replies, tool results."""

    entries: dict[str, JsonValue]


def links_to(run_id: str, tenant: str) -> Links:
    """The paths of a run."""
    run, whose = f"/v1/runs/{run_id}", f"?tenant={tenant}"
    return Links(self=run + whose, events=f"{run}/events{whose}", result=f"{run}/result{whose}")


def line_of(run: Run | UnreadableRun) -> RunLine:
    """The run in a list."""
    if isinstance(run, UnreadableRun):
        return _unreadable_line(run)
    return RunLine(
        run_id=run.id,
        state=run.state,
        objective=run.task.objective,
        started=run.started,
        finished=run.finished,
        reason=run.reason,
        steps_done=sum(record.status == "done" for record in run.steps.values()),
        steps_total=len(run.steps),
        cost_usd=run.usage.cost_usd,
    )


def _unreadable_line(run: UnreadableRun) -> RunLine:
    """What can be said of a run whose record cannot be read."""
    return RunLine(
        run_id=run.run_id,
        state=run.state,
        objective="(unreadable)",
        started=run.started,
        finished=None,
        reason=str(run),
        steps_done=0,
        steps_total=0,
        cost_usd=0.0,
        unreadable=True,
    )


def view_of(snapshot: RunSnapshot, stops: Iterable[WorkStopped] = ()) -> RunView:
    """Return the run as it stands; a task on its way is a run in INTAKE. `stops`: what is stopped."""
    run, pending = snapshot.run, snapshot.pending
    if run is not None:
        return _view(run, snapshot.version).model_copy(update={"parked": _parked(run, stops)})
    assert pending is not None, "a snapshot has a run or a pending task"
    return RunView(
        run_id=snapshot.id,
        task_id=pending.task_id,
        tenant=snapshot.tenant,
        state=State.INTAKE,
        reason="the task was accepted and is on its way",
        objective=pending.objective,
        started=pending.at,
        deadline=None,
        finished=None,
        version=0,
        plan=None,
        steps=[],
        usage=Usage(),
        models=[],
        waiting_for=None,
        error=None,
    )


def _view(run: Run, version: int) -> RunView:
    return RunView(
        run_id=run.id,
        task_id=run.task_id,
        tenant=run.tenant,
        state=run.state,
        settling=run.settling,
        reason=run.reason,
        objective=run.task.objective,
        started=run.started,
        deadline=present_deadline(run, datetime.now(UTC)),
        finished=run.finished,
        version=version,
        plan=run.plan,
        steps=[summary(record) for record in run.steps.values()],
        usage=run.usage,
        models=run.models,
        waiting_for=run.request,
        error=run.error,
    )


def _parked(run: Run, stops: Iterable[WorkStopped]) -> list[ParkedWork]:
    """Return what the run waits for that is stopped."""
    stopped = {each.scope: each for each in stops}
    workers = {run.planning.handoff_id: PLANNER, run.reviewing.handoff_id: REVIEWER}
    workers |= {record.handoff_id: record.step.agent for record in run.steps.values()}
    asked = ((id, workers[id]) for id in (awaited_handoffs(run) if stopped else ()))
    reasons = ((id, agent, stop_reason(stopped, StopScope(run.tenant, agent, run.id))) for id, agent in asked)
    return [ParkedWork(handoff_id=id, agent=agent, reason=reason) for id, agent, reason in reasons if reason]
