"""Events of a run as updates of an A2A task. Pure.

Each update carries the id of its event in its metadata, so that a client that lost its stream resumes after it.
"""

from a2a.types import TaskArtifactUpdateEvent, TaskState, TaskStatus, TaskStatusUpdateEvent
from google.protobuf.timestamp_pb2 import Timestamp

from schemas.event import Moved, Progressed
from services.gateway.a2a.tasks import Known, agent_message, artifacts_of, context_of, metadata, status_of
from shared.blackboard import LiveEvent

_PROGRESS, _MOVED = Progressed.wire_type(), Moved.wire_type()


def change_of(event_id: str) -> int:
    """Return the number of the change that an event belongs to: the version of its run."""
    return int(event_id.partition("-")[0])


def progress_of(event: LiveEvent, known: Known) -> TaskStatusUpdateEvent | None:
    """Return the update for what an agent does, or why the run moves on; None for any other event."""
    if event.type == _PROGRESS:
        text = f"{event.data['agent']}: {event.data['doing']}"
    elif event.type == _MOVED:
        text = event.data["reason"]
    else:
        return None
    at = Timestamp()
    at.FromJsonString(event.data["at"])
    message = agent_message(known, f"event-{event.id}", text)
    status = TaskStatus(state=TaskState.TASK_STATE_WORKING, message=message, timestamp=at)
    return _update(status, event.id, known)


def present(event_id: str, known: Known) -> TaskStatusUpdateEvent:
    """Return the update to the present status."""
    return _update(status_of(known), event_id, known)


def results(event_id: str, known: Known, base: str) -> list[TaskArtifactUpdateEvent]:
    """Return the updates with the artefacts of an ended run, each whole."""
    return [
        TaskArtifactUpdateEvent(
            task_id=known.view.run_id,
            context_id=context_of(known),
            artifact=artifact,
            last_chunk=True,
            metadata=metadata({"event": event_id}),
        )
        for artifact in (artifacts_of(known.result, base) if known.result else [])
    ]


def _update(status: TaskStatus, event_id: str, known: Known) -> TaskStatusUpdateEvent:
    return TaskStatusUpdateEvent(
        task_id=known.view.run_id,
        context_id=context_of(known),
        status=status,
        metadata=metadata({"event": event_id}),
    )
