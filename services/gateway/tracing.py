"""Reads the trace of a run from its events and journals: whole, or a page of it."""

from collections.abc import Iterable, Sequence

from schemas.api.trace import RunTrace
from schemas.event import RunEvent
from schemas.progress import fold_progress
from schemas.registry import EVENTS
from services.gateway.dependencies import RunSnapshot
from services.gateway.trace import Journal, trace_of, work_id_of
from services.gateway.window import fold_page
from services.gateway.works import journals_of_page
from shared.blackboard import LiveEvent, read_event_page, read_journal, read_live_events
from shared.service import Parts


async def read_trace(parts: Parts, snapshot: RunSnapshot) -> RunTrace:
    """Return the whole trace."""
    progress = fold_progress(_known(await read_live_events(parts.redis, snapshot.tenant, snapshot.id)))
    return trace_of(snapshot, progress, await _journals(snapshot, parts, progress.handoffs))


async def read_trace_page(parts: Parts, snapshot: RunSnapshot, events: int, before: str | None) -> RunTrace:
    """Return the trace of the newest events, or of the newest before that id."""
    page = await read_event_page(parts.redis, snapshot.tenant, snapshot.id, events, before)
    progress = fold_page(snapshot.run, _known(page.events), newest=before is None)
    journals = await journals_of_page(parts, snapshot, progress)
    trace = trace_of(snapshot, progress, journals, partial=True)
    newest = page.events[-1].id if page.events else None
    return trace.model_copy(update={"older": page.older, "newest": newest})


def _known(events: Iterable[LiveEvent]) -> Sequence[RunEvent]:
    return [EVENTS[each.type].model_validate(each.data) for each in events if each.type in EVENTS]


async def _journals(snapshot: RunSnapshot, parts: Parts, handoff_ids: Iterable[str]) -> dict[str, Journal]:
    """Return the journals of these handoffs by work id."""
    work_ids = {work_id_of(id) for id in handoff_ids}
    return {id: await read_journal(parts.redis, snapshot.tenant, id) for id in work_ids}
