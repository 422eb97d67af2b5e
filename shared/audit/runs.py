"""Ended runs from the record: each the fold of its events, for as long as the record has them and their contents."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError

from schemas.event import ENDS, RunEvent
from schemas.registry import EVENTS
from shared.audit.contents import Opened
from shared.audit.finding import Position
from shared.audit.store import AuditStore
from shared.runs import Run
from shared.runs.evolve import replay

TYPE = "type"
"""Fact of a row that is a whole event: its wire type."""

MOST = 50_000
"""Rows read for the runs of one answer."""

_EVENTS = """
SELECT r.run_id, r.at, r.by, r.facts, r.part, r.at_offset, c.content FROM audit_records r
LEFT JOIN audit_contents c ON c.tenant = r.tenant AND c.number = r.number AND c.at = r.at
WHERE r.tenant = $1 AND r.run_id = ANY($2::text[]) AND r.topic = 'runs.log' ORDER BY r.number LIMIT $3
"""
_ENDED = """
SELECT run_id, at, number FROM audit_records
WHERE tenant = $1 AND kind = 'transition' AND name = 'moved' AND outcome = ANY($2::text[]) AND (at, number) < ($3, $4)
ORDER BY at DESC, number DESC LIMIT $5
"""


class Recorded(NamedTuple):
    """A run, and the number of its last change."""

    run: Run
    version: int


class End(NamedTuple):
    """The end of a run."""

    run_id: str
    position: Position


async def runs_of(store: AuditStore, tenant: str, runs: Sequence[str]) -> dict[str, Recorded]:
    """Return these runs as far as they are recorded whole. Raises ArchiveUnavailable."""
    async with store.door.of(tenant) as connection:
        rows = await connection.fetch(_EVENTS, tenant, list(runs), MOST + 1)
    if len(rows) > MOST:
        rows = [row for row in rows if row["run_id"] != rows[-1]["run_id"]]
    events = [row for row in rows if f'"{TYPE}":' in row["facts"]]
    opened = await store.contents.opened(tenant, [(row["run_id"], row["content"] or b"") for row in events])
    return await asyncio.to_thread(_folded, tenant, list(zip(events, opened, strict=True)))


async def ends_of(store: AuditStore, tenant: str, limit: int, before: Position) -> list[End]:
    """Return ends of runs before a position, newest first. Raises ArchiveUnavailable."""
    async with store.door.of(tenant) as connection:
        rows = await connection.fetch(_ENDED, tenant, [str(state) for state in ENDS], *before, limit)
    return [End(row["run_id"], Position(row["at"], row["number"])) for row in rows]


def _folded(tenant: str, rows: Sequence[tuple[Mapping[str, Any], Opened]]) -> dict[str, Recorded]:
    """Return the runs whose events can all be read."""
    changes: dict[str, dict[int, tuple[tuple[int, ...], list[RunEvent | None]]]] = {}
    for row, opened in rows:
        facts = json.loads(row["facts"])
        place = (-facts["epoch"], row["part"], row["at_offset"])
        known = changes.setdefault(row["run_id"], {})
        first, events = known.get(facts["change"], (place, []))
        if place <= first:  # of two changes with a number, the one of the higher epoch counts, and once
            events = events if place == first else []
            known[facts["change"]] = place, [*events, _event(tenant, row, facts[TYPE], opened)]
    found = {run: _run(numbered) for run, numbered in changes.items()}
    return {run: each for run, each in found.items() if each is not None}


def _event(tenant: str, row: Mapping[str, Any], type: str, opened: Opened) -> RunEvent | None:
    if opened.contents is None:
        return None
    about = {"run_id": row["run_id"], "tenant": tenant, "at": row["at"], "by": row["by"]}
    try:
        return EVENTS[type].model_validate({**opened.contents, **about})
    except (KeyError, ValidationError):
        return None


def _run(changes: Mapping[int, tuple[tuple[int, ...], Sequence[RunEvent | None]]]) -> Recorded | None:
    """Return the fold of the events, if none is missing."""
    if sorted(changes) != list(range(1, len(changes) + 1)):
        return None
    events = [event for number in sorted(changes) for event in changes[number][1]]
    known = [event for event in events if event is not None]
    run = replay(known) if known and len(known) == len(events) else None
    return None if run is None else Recorded(run, len(changes))
