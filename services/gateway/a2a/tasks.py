"""Runs as A2A tasks. Pure."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from a2a.types import Artifact, Message, Part, Role, Task, TaskState, TaskStatus
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

from schemas.api.runs import QuestionView, RunView
from schemas.caller_message import CallerMessage
from schemas.event import ENDS, State
from schemas.task import Artefact, Result
from services.gateway.a2a.messages import METADATA, added_id_of, message_id_of

_STATES = {
    State.INTAKE: TaskState.TASK_STATE_SUBMITTED,
    State.VALIDATING: TaskState.TASK_STATE_SUBMITTED,
    State.WAITING_HUMAN: TaskState.TASK_STATE_INPUT_REQUIRED,
    State.COMPLETE: TaskState.TASK_STATE_COMPLETED,
    State.REJECTED: TaskState.TASK_STATE_REJECTED,
    State.FAILED: TaskState.TASK_STATE_FAILED,
    State.CANCELLED: TaskState.TASK_STATE_CANCELED,
}

TERMINAL = frozenset(_STATES[state] for state in ENDS)

STOPPED = TERMINAL | {TaskState.TASK_STATE_INPUT_REQUIRED}
"""States in which a caller has something to do: it reads the result, or answers."""

RESULT_DATA = frozenset({"confidence", "doubtful", "caveats", "incomplete_effects", "effects_digest", "models"})
"""Fields of a result that go into the artefact's data."""


class Known(NamedTuple):
    """Facts about a run, as far as the caller may see them."""

    view: RunView
    session: str | None = None
    key: str | None = None
    """Idempotency key of its task."""
    result: Result | None = None
    """None before the end, and for callers who may not read results."""


def state_of(view: RunView) -> TaskState:
    """Return the state of the task. A run whose result is still awaited counts as working."""
    if view.settling:
        return TaskState.TASK_STATE_WORKING
    return _STATES.get(view.state, TaskState.TASK_STATE_WORKING)


def states_of(state: TaskState) -> list[State]:
    """Return the states of runs that are this state of a task."""
    return [each for each in State if _STATES.get(each, TaskState.TASK_STATE_WORKING) == state]


def context_of(known: Known) -> str:
    """Return the context of the task: the session of the run, else the run itself."""
    return known.session or known.view.run_id


def a2a_task(known: Known, base: str) -> Task:
    """Return the run as a task. `base`: public address of the gateway, for the addresses of files."""
    view = known.view
    first = Message(
        message_id=message_id_of(known.key, view.run_id),
        context_id=context_of(known),
        task_id=view.run_id,
        role=Role.ROLE_USER,
        parts=[Part(text=view.objective)],
    )
    return Task(
        id=view.run_id,
        context_id=context_of(known),
        status=status_of(known),
        artifacts=artifacts_of(known.result, base) if known.result else [],
        history=[first, *(_added(each, known) for each in view.messages)],
        metadata=metadata({"state": view.state, "version": view.version, "questions": _questions(view.questions)}),
    )


def _added(added: CallerMessage, known: Known) -> Message:
    return Message(
        message_id=added_id_of(added.message_id),
        context_id=context_of(known),
        task_id=known.view.run_id,
        role=Role.ROLE_USER,
        parts=[Part(text=added.text)],
    )


def status_of(known: Known) -> TaskStatus:
    """Return the present status, with what is asked or why it ended in words."""
    view = known.view
    text = "\n\n".join(each.asked.question for each in view.questions) or view.reason
    return TaskStatus(
        state=state_of(view),
        message=agent_message(known, f"status-{view.version}", text),
        timestamp=_timestamp(view.finished or max((each.asked.at for each in view.questions), default=view.started)),
    )


def agent_message(known: Known, name: str, text: str) -> Message:
    """Return a message of the swarm about the task. `name`: unique among those of the task."""
    view = known.view
    return Message(
        message_id=f"{view.run_id}/{name}",
        context_id=context_of(known),
        task_id=view.run_id,
        role=Role.ROLE_AGENT,
        parts=[Part(text=text)],
    )


def artifacts_of(result: Result, base: str) -> list[Artifact]:
    """Return the answer with its data, and each file by its address."""
    found = [_file(each, result.tenant, base) for each in result.artefacts]
    if result.answer is None:
        return found
    data = ParseDict(result.model_dump(mode="json", include=set(RESULT_DATA)), Value())
    parts = [Part(text=result.answer, media_type="text/markdown"), Part(data=data, media_type="application/json")]
    return [Artifact(artifact_id="answer", name="answer", parts=parts), *found]


def metadata(content: dict[str, Any]) -> Struct:
    """Return metadata that only Waggle understands."""
    return ParseDict({METADATA: content}, Struct())


def _questions(questions: Iterable[QuestionView]) -> list[dict[str, Any]]:
    """Return each open question with the answers that it takes and their effects."""
    include = {"request_id", "kind", "question", "options", "offers", "expires", "risk"}
    return [each.asked.model_dump(mode="json", include=include) for each in questions]


def _file(artefact: Artefact, tenant: str, base: str) -> Artifact:
    digest = artefact.uri.removeprefix("blob:")
    part = Part(url=f"{base}/v1/files/{digest}?tenant={tenant}", filename=artefact.name, media_type=artefact.media_type)
    return Artifact(artifact_id=f"file-{digest[:16]}", name=artefact.name, parts=[part])


def _timestamp(at: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp
