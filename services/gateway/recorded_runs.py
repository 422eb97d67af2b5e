"""Ended runs that Redis no longer has, from the audit record."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

from schemas.api.runs import RunPage, RunQuery, RunSummary
from services.gateway.audit_record import cursor_at, position_of
from services.gateway.dependencies import RunSnapshot
from services.gateway.run_filters import wanted_of
from shared.audit import AuditStore
from shared.audit.finding import Position
from shared.audit.runs import Recorded, ends_of, runs_of
from shared.blackboard.entries import entry_of
from shared.blackboard.listing import Wanted

AT_ONCE = 50
"""Runs that are read at the same time."""

MOST_EXAMINED = 500
"""Ends of runs examined for one page, which may therefore be short although another one follows."""

_NEWEST = Position(datetime(9999, 1, 1, tzinfo=UTC), 2**62)


async def recorded_snapshot(record: AuditStore, tenant: str, run_id: str) -> RunSnapshot | None:
    """Return an ended run; None if the record does not have it whole. Raises ArchiveUnavailable."""
    found = (await runs_of(record, tenant, [run_id])).get(run_id)
    if found is None or not found.run.over:
        return None
    return RunSnapshot(id=run_id, tenant=tenant, run=found.run, version=found.version, pending=None)


async def recorded_page(record: AuditStore, tenant: str, query: RunQuery) -> RunPage:
    """Return ended runs that match, the latest end first. Raises ArchiveUnavailable, and ValueError for the cursor."""
    wanted = wanted_of(query, tenant, [])
    after = position_of(query.cursor) or _NEWEST
    found: list[RunSummary] = []
    if wanted is None:
        return RunPage(runs=found, next_offset=None)
    examined = 0
    async for place, run in _ended(record, tenant, after):
        examined += 1
        if run is not None and (row := _matching(run, wanted)) is not None:
            found.append(row)
        if len(found) == query.limit or examined == MOST_EXAMINED:
            return RunPage(runs=found, next_offset=None, next_cursor=cursor_at(place))
    return RunPage(runs=found, next_offset=None)


async def _ended(record: AuditStore, tenant: str, after: Position) -> AsyncIterator[tuple[Position, Recorded | None]]:
    """Yield runs that have ended, by their last end, with its position."""
    while ends := await ends_of(record, tenant, AT_ONCE, after):
        runs = await runs_of(record, tenant, [end.run_id for end in ends])
        for end in ends:
            found = runs.get(end.run_id)
            last = found is not None and found.run.over and found.run.finished == end.position.at
            yield end.position, found if last else None
        after = ends[-1].position


def _matching(found: Recorded, wanted: Wanted) -> RunSummary | None:
    """Return the run as lists show it, if it matches."""
    entry = entry_of(found.run, found.version)
    tags, started = entry.marks.split("\n")[1].split(), found.run.started.timestamp()
    early = wanted.since is not None and started < wanted.since
    late = wanted.until is not None and started >= wanted.until
    return None if early or late or not {*wanted.tags} <= {*tags} else RunSummary.model_validate_json(entry.row)
