"""The stream of one task: a snapshot, then every update once, until the caller has something to do."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from a2a.types import Task, TaskArtifactUpdateEvent, TaskStatusUpdateEvent

from schemas.event import Moved, Progressed, ResultReleased
from services.gateway.a2a.runs import Runs
from services.gateway.a2a.tasks import STOPPED, Known, a2a_task, state_of
from services.gateway.a2a.updates import change_of, present, progress_of, results
from shared.blackboard import LiveEvent

Update = Task | TaskStatusUpdateEvent | TaskArtifactUpdateEvent

_PROGRESS = Progressed.wire_type()
_MAY_STOP = frozenset({Moved.wire_type(), ResultReleased.wire_type()})


async def updates(runs: Runs, run_id: str, base: str, *, after: str | None = None) -> AsyncGenerator[Update]:
    """Yield the task, then its updates: those after the event `after`, or those that the task does not have yet.

    Ends when the task has ended or asks something. Raises Refused.
    """
    since = after or await runs.newest_event(run_id)
    known = await runs.known(run_id)
    yield a2a_task(known, base)
    if state_of(known.view) in STOPPED and after is None:
        return
    async with aclosing(runs.events(run_id, since)) as events:
        async for event in events:
            if after is None and event is not None and _is_included(event, known):
                continue
            latest = await runs.known(run_id) if event is None or event.type in _MAY_STOP else known
            stopped = state_of(latest.view) in STOPPED
            if stopped and (event is None or change_of(event.id) >= latest.view.version):
                for each in _last(event.id if event is not None else since, latest, base):
                    yield each
                return
            if event is not None and (update := progress_of(event, latest)) is not None:
                yield update
            since = event.id if event is not None else since


def _is_included(event: LiveEvent, known: Known) -> bool:
    """Return true for an event that is older than the snapshot; activities are in no snapshot."""
    return event.type != _PROGRESS and change_of(event.id) <= known.view.version


def _last(event_id: str, known: Known, base: str) -> list[Update]:
    return [*results(event_id, known, base), present(event_id, known)]
