"""A gateway whose runs last as long as their objective says, in the process of the server under test."""

import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from schemas.api.runs import QuestionView, RunView
from schemas.api.tasks import Links, TaskAccepted
from schemas.budget import Usage
from schemas.error import ErrorInfo
from schemas.event import State
from schemas.question import Kind, Offer, Reply
from schemas.question_events import HelpRequested
from schemas.task import Result
from services.cli.api.answers import NotFoundError


@dataclass
class SimulatedRun:
    """A run: it ends after some seconds, once its questions are answered."""

    id: str
    seconds: float = 0
    fails: bool = False
    questions: list[str] = field(default_factory=list)
    answer: str = "done"
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    cancelled: datetime | None = None

    @property
    def state(self) -> State:
        if self.cancelled:
            return State.CANCELLED
        if self.questions:
            return State.WAITING_HUMAN
        if datetime.now(UTC) < self.started + timedelta(seconds=self.seconds):
            return State.EXECUTING
        return State.FAILED if self.fails else State.COMPLETE


class SimulatedGateway:
    """The part of the gateway's API that tasks need."""

    def __init__(self):
        self.runs: dict[str, SimulatedRun] = {}

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def submit(self, task, key):
        run = SimulatedRun(f"run-{uuid.uuid5(uuid.NAMESPACE_URL, key).hex}", **json.loads(task.objective))
        self.runs.setdefault(run.id, run)
        links = Links(self="", events="", result="")
        return TaskAccepted(run_id=run.id, task_id=key, tenant="default", links=links)

    def run(self, run_id):
        found = self._found(run_id)
        ended = found.state in (State.COMPLETE, State.FAILED, State.CANCELLED)
        questions = [QuestionView(asked=_asked(found, number)) for number in range(len(found.questions))]
        absent = dict.fromkeys(("deadline", "plan", "waiting_for", "error"))
        return RunView(
            run_id=found.id,
            task_id=found.id,
            tenant="default",
            state=found.state,
            reason="",
            objective="simulated",
            started=found.started,
            finished=found.started if ended else None,
            version=1,
            steps=[],
            usage=Usage(),
            models=[],
            questions=questions,
            **absent,
        )

    def result(self, run_id):
        found = self._found(run_id)
        times = {"started": found.started, "finished": datetime.now(UTC)}
        whose = {"run_id": found.id, "task_id": found.id, "tenant": "default"}
        if found.fails:
            error = ErrorInfo(code="simulated", message="it failed, as it was asked to")
            return Result(status="failed", error=error, **whose, **times)
        return Result(status="complete", answer=found.answer, **whose, **times)

    def command(self, run_id, verb, **order):
        found = self._found(run_id)
        if verb == "cancel":
            found.cancelled = datetime.now(UTC)
        else:
            found.questions.remove(order["request_id"].rpartition("/")[2])

    def _found(self, run_id):
        if run_id not in self.runs:
            raise NotFoundError(f"this tenant has no run {run_id}")
        return self.runs[run_id]


def _asked(run, number):
    name = run.questions[number]
    return HelpRequested(
        run_id=run.id,
        tenant="default",
        at=run.started,
        by="orchestrator",
        request_id=f"{run.id}/help/{name}",
        about="step",
        step_id="s1",
        question=f"Proceed with {name}?",
        options=["approve", "reject"],
        kind=Kind.QUESTION,
        offers=[Offer(answer=Reply.APPROVE, effect="It proceeds.")],
    )
