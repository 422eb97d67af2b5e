"""Questions to the record: rows by kind, name, person, run and time, newest first, and by the text of arguments.

A text is compared with contents that are opened for it, since they may be sealed: so many rows at most for one page.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import asyncpg

from shared.audit.contents import Opened
from shared.audit.row import COLUMNS, Row
from shared.audit.store import AuditStore

MOST_OPENED = 5_000
"""Rows whose contents are opened for one page."""

AT_ONCE = 500

_CONDITIONS = {
    "kinds": "r.kind = {}",
    "name": "r.name = {}",
    "run": "r.run_id = {}",
    "agent": "r.agent = {}",
    "by": "r.by = {}",
    "outcome": "r.outcome = {}",
    "verdict": "r.verdict = {}",
    "number": "r.number = {}",
    "since": "r.at >= {}",
    "until": "r.at < {}",
}
_SEVERAL = "r.kind = ANY({}::text[])"

_FIND = """
SELECT {columns}, c.content FROM audit_records r
LEFT JOIN audit_contents c ON c.tenant = r.tenant AND c.number = r.number AND c.at = r.at
WHERE r.tenant = $1 AND {conditions} ORDER BY r.at DESC, r.number DESC LIMIT $2
"""
_RELATED = """
SELECT ref, name, outcome FROM audit_records
WHERE tenant = $1 AND run_id = ANY($2::text[]) AND ref = ANY($3::text[]) AND kind IN ('question', 'tool_call')
ORDER BY number
"""
_SELECTED = ", ".join(f"r.{name}" for name in COLUMNS)


class Position(NamedTuple):
    """Position of the last row of a page."""

    at: datetime
    number: int


@dataclass(frozen=True, slots=True)
class Question:
    """Conditions that all rows of an answer meet. `arguments`: a text in them; `*` stands for any other."""

    kinds: Sequence[str] = ()
    name: str | None = None
    run: str | None = None
    agent: str | None = None
    by: str | None = None
    outcome: str | None = None
    verdict: str | None = None
    number: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    arguments: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A row of an answer."""

    row: Row
    contents: Opened | None
    """None for a row without contents."""
    about: str = ""
    """Tool or matter of the question that was decided; outcome of the call that was asked for."""


@dataclass(slots=True)
class Answer:
    """A page of rows, newest first."""

    found: list[Found] = field(default_factory=list)
    after: Position | None = None
    """Position to continue from; None on the last page. A page that opened many rows may be short."""


async def find(store: AuditStore, tenant: str, question: Question, limit: int, after: Position | None = None) -> Answer:
    """Return a page of the tenant's rows. Raises ArchiveUnavailable."""
    answer, opened = Answer(after=after), 0
    while True:
        wanted = limit + 1 - len(answer.found) if question.arguments is None else AT_ONCE
        rows = await _rows(store, tenant, question, wanted, answer.after)
        found = await _opened(store, tenant, rows)
        matching = await asyncio.to_thread(_matching, found, question.arguments)
        opened += len(rows)
        answer.found += matching
        if len(answer.found) > limit:
            answer.found = answer.found[:limit]
            answer.after = _position(answer.found[-1].row)
            break
        answer.after = _position(found[-1].row) if len(rows) == wanted else None
        if answer.after is None or opened >= MOST_OPENED:
            break
    answer.found = await _related(store, tenant, answer.found)
    return answer


async def _rows(
    store: AuditStore, tenant: str, question: Question, limit: int, after: Position | None
) -> list[asyncpg.Record]:
    conditions: list[str] = ["true"]
    values: list[Any] = [tenant, limit]
    for name, condition in _CONDITIONS.items():
        if (value := getattr(question, name)) not in (None, ()):
            several = name == "kinds" and len(value) > 1
            values.append(list(value) if several else value[0] if name == "kinds" else value)
            conditions.append((_SEVERAL if several else condition).format(f"${len(values)}"))
    if after is not None:
        values += after
        conditions.append(f"(r.at, r.number) < (${len(values) - 1}, ${len(values)})")
    query = _FIND.format(columns=_SELECTED, conditions=" AND ".join(conditions))
    async with store.door.of(tenant) as connection:
        found: list[asyncpg.Record] = await connection.fetch(query, *values)
    return found


async def _opened(store: AuditStore, tenant: str, rows: Sequence[asyncpg.Record]) -> list[Found]:
    with_contents = [(row["run_id"], row["content"]) for row in rows if row["content"] is not None]
    opened = iter(await store.contents.opened(tenant, with_contents))
    return [
        Found(Row(*tuple(row)[: len(COLUMNS)]), next(opened) if row["content"] is not None else _without(row))
        for row in rows
    ]


def _without(row: Mapping[str, Any]) -> Opened | None:
    """Return the contents of a row that has lost them; None for one that never had any."""
    return Opened(None, "") if row["digest"] else None


def _matching(found: Sequence[Found], text: str | None) -> list[Found]:
    if text is None:
        return list(found)
    pattern = f"*{text.casefold()}*".replace("[", "[[]").replace("?", "[?]")
    return [each for each in found if fnmatchcase(_arguments(each).casefold(), pattern)]


def _arguments(found: Found) -> str:
    """Return the arguments in contents: of a call, or of one that a person was asked about."""
    contents = (found.contents.contents if found.contents else None) or {}
    return str(contents.get("arguments") or (contents.get("proposal") or {}).get("arguments") or "")


async def _related(store: AuditStore, tenant: str, found: Sequence[Found]) -> list[Found]:
    """Add to decisions what was decided, and to requests of calls what became of them."""
    open_ones = {each.row.ref: each.row.run_id for each in found if each.row.kind in _RELATES and each.row.ref}
    if not open_ones:
        return list(found)
    async with store.door.of(tenant) as connection:
        rows = await connection.fetch(_RELATED, tenant, sorted({*open_ones.values()}), sorted(open_ones))
    names = {row["ref"]: row["name"] for row in rows}
    outcomes = {row["ref"]: row["outcome"] for row in rows}
    known = {"tool_request": outcomes, "decision": names, "command": names}
    return [replace(each, about=known.get(each.row.kind, {}).get(each.row.ref, "")) for each in found]


_RELATES = ("tool_request", "decision", "command")


def _position(row: Row) -> Position:
    return Position(row.at, row.number)
