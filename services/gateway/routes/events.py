"""The route that streams the events of a run."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Header
from fastapi.sse import EventSourceResponse, ServerSentEvent

from schemas.event import Moved, ResultReleased
from schemas.progress import ends_stream
from schemas.registry import EVENTS
from services.gateway.contents import shown_event
from services.gateway.dependencies import CallerDep, PartsDep, SnapshotDep, pending_task
from services.gateway.errors import stream_error_responses
from services.gateway.follower_slots import FollowersDep
from services.gateway.shared_reads import ReadsDep, SharedReads
from shared.blackboard import CutOff, LiveEvent
from shared.blackboard.runs import Loaded
from shared.service import Parts

router = APIRouter(prefix="/v1/runs/{run_id}", tags=["runs"], responses=stream_error_responses(404, 429))

LastEventId = Annotated[
    str, Header(pattern=r"^\d{1,20}(-\d{1,20})?$", description="Resume after this event: an `id` of the stream.")
]

_MAY_END = {Moved.wire_type(), ResultReleased.wire_type()}


@router.get(
    "/events",
    summary="Follow a run",
    response_class=EventSourceResponse,
    response_description="Server-sent events until the run has ended",
)
async def follow_run(
    snapshot: SnapshotDep,
    parts: PartsDep,
    followers: FollowersDep,
    reads: ReadsDep,
    caller: CallerDep,
    last_event_id: LastEventId = "0",
) -> AsyncIterator[ServerSentEvent]:
    """Each event with its stream id, its wire type as `event` and its JSON as `data`; past events come first.

    The stream can be opened as soon as the task is accepted, and ends with the event that ends the run. A client that
    reads more slowly than events arrive is disconnected and resumes with `Last-Event-ID`. 429: the key follows as many
    runs as it may; 503: this gateway does. Without the role `contents` only events about states are sent.
    """
    read = _Read(parts, snapshot.tenant, snapshot.id, reads)
    over, ended = await read.is_over(), 0
    try:
        async with aclosing(followers.follow(snapshot.tenant, snapshot.id, last_event_id)) as events:
            async for event in events:
                if event is not None:
                    if (shown := shown_event(event, caller)) is not None:
                        yield ServerSentEvent(id=shown.id, event=shown.type, raw_data=shown.json)
                    ended += ends(event)
                if over if event is None else ends(event) and ended > await read.resumes():
                    return
                if event is None:
                    yield ServerSentEvent(comment="nothing new")
                    over = await read.is_over()
    except CutOff:
        yield ServerSentEvent(comment="cut off: resume after the last id")


def ends(event: LiveEvent) -> bool:
    """Return true for the event that comes with the result of the run."""
    return event.type in _MAY_END and ends_stream(EVENTS[event.type].model_validate(event.data))


@dataclass(frozen=True, slots=True)
class _Read:
    """Reads of a run, shared with its other followers."""

    parts: Parts
    tenant: str
    run_id: str
    reads: SharedReads

    async def resumes(self) -> int:
        """Return the number of times the run was resumed after it had ended."""
        run, _, _ = await self.reads.read(("run", self.tenant, self.run_id), self._load)
        return run.resumes if run else 0

    async def is_over(self) -> bool:
        """Return true if no new event will come. Existing ones may still be unread: read once more before leaving."""
        return await self.reads.read(("over", self.tenant, self.run_id), self._over)

    async def _load(self) -> Loaded:
        return await self.parts.runs.load(self.tenant, self.run_id)

    async def _over(self) -> bool:
        over = await self.parts.runs.is_over(self.tenant, self.run_id)
        return await pending_task(self.parts, self.tenant, self.run_id) is None if over is None else over
