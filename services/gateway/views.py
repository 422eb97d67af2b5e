"""What the gateway shows of a run."""

from datetime import datetime

from pydantic import BaseModel

from schemas.budget import Usage
from schemas.error import ErrorInfo
from schemas.event import HelpRequested, State
from schemas.plan import Plan
from schemas.task import StepSummary
from shared.runs import Run
from shared.runs.result import summary


class Links(BaseModel):
    """Where to go on from here."""

    self: str
    events: str
    result: str


class Accepted(BaseModel):
    """A task is safe in Kafka and will become this run."""

    run_id: str
    task_id: str
    tenant: str
    links: Links


class RunLine(BaseModel):
    """A run in a list."""

    run_id: str
    state: State
    objective: str
    started: datetime
    finished: datetime | None
    reason: str
    steps_done: int
    steps_total: int
    cost_usd: float

    @classmethod
    def of(cls, run: Run) -> "RunLine":
        """The line of a run."""
        return cls(
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


class RunList(BaseModel):
    """A page of runs, newest first."""

    runs: list[RunLine]
    next_offset: int | None


class RunView(BaseModel):
    """A run as it stands."""

    run_id: str
    task_id: str | None = None
    tenant: str
    state: State
    reason: str
    objective: str | None = None
    started: datetime | None = None
    deadline: datetime | None = None
    finished: datetime | None = None
    version: int = 0
    plan: Plan | None = None
    steps: list[StepSummary] = []
    usage: Usage = Usage()
    models: list[str] = []
    waiting_for: HelpRequested | None = None
    error: ErrorInfo | None = None

    @classmethod
    def of(cls, run: Run, version: int) -> "RunView":
        """The view of a run."""
        same = ("task_id", "tenant", "state", "reason", "started", "deadline", "finished", "plan", "usage", "models")
        return cls(
            run_id=run.id,
            objective=run.task.objective,
            version=version,
            steps=[summary(record) for record in run.steps.values()],
            waiting_for=run.request,
            error=run.error,
            **{name: getattr(run, name) for name in same},
        )

    @classmethod
    def submitted(cls, run_id: str, tenant: str) -> "RunView":
        """The view of a task that is on its way to the orchestrator."""
        return cls(run_id=run_id, tenant=tenant, state=State.INTAKE, reason="the task is on its way")
