"""Costs by the record: sums over the model calls and tool calls of a tenant between two times, by chosen names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from shared.audit.store import AuditStore

UNNAMED = "(none)"
"""Name of what has none: the task type of a run whose caller gave none, the model of a call without a reply."""

_NAMES: Mapping[str, str] = {
    "agent": "agent",
    "model": "CASE kind WHEN 'model_call' THEN name ELSE '' END",
    "tool": "CASE kind WHEN 'tool_call' THEN name ELSE '' END",
    "day": "to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD')",
    "run": "run_id",
    "task_type": "started.type",
}
"""Expressions of the table's columns, by the names that a caller may group by."""

NAMES = tuple(_NAMES)

_SUMS = """
    sum(model_calls)::bigint AS model_calls, sum(tool_calls)::bigint AS tool_calls, sum(lost)::bigint AS lost,
    sum(tokens_in)::bigint AS tokens_in, sum(tokens_out)::bigint AS tokens_out, sum(cost) AS cost
"""
_COSTS = """
WITH spent AS (
    SELECT run_id{own}, count(*) FILTER (WHERE kind = 'model_call' AND outcome <> 'lost') AS model_calls,
        count(*) FILTER (WHERE kind = 'tool_call' AND outcome NOT IN ('refused', 'lost')) AS tool_calls,
        count(*) FILTER (WHERE outcome = 'lost') AS lost,
        sum(tokens_in) AS tokens_in, sum(tokens_out) AS tokens_out, sum(cost) AS cost
    FROM audit_records
    WHERE tenant = $1 AND kind = ANY('{{model_call,tool_call}}') AND at >= $2 AND at < $3
    GROUP BY run_id{groups}
), named AS (SELECT spent.*{type} FROM spent{started})
SELECT {names} AS names, {sums} FROM named GROUP BY GROUPING SETS (({columns}), ())
ORDER BY GROUPING({columns}) DESC, sum(cost) DESC NULLS LAST, 1 LIMIT $4
"""
_STARTED = """
    LEFT JOIN LATERAL (
        SELECT facts::json ->> 'task_type' AS type FROM audit_records r
        WHERE r.tenant = $1 AND r.run_id = spent.run_id AND r.run_id <> ''
            AND r.kind = 'transition' AND r.name = 'run-started' AND r.at < $3
        ORDER BY r.number LIMIT 1
    ) started ON true
"""
"""Type of a run's task, which the row of its start names."""


@dataclass(frozen=True, slots=True)
class Line:
    """Sums for the names that a caller grouped by."""

    names: Sequence[str]
    model_calls: int = 0
    tool_calls: int = 0
    lost: int = 0
    """Attempts without an answer, of no known cost."""
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0


@dataclass(frozen=True, slots=True)
class Costs:
    """Sums of all calls, and the most expensive lines."""

    total: Line
    lines: Sequence[Line]
    complete: bool


async def costs(
    store: AuditStore, tenant: str, by: Sequence[str], since: datetime, until: datetime, limit: int
) -> Costs:
    """Return what the tenant's calls cost, by these of NAMES. Raises ArchiveUnavailable."""
    async with store.door.of(tenant) as connection:
        rows = await connection.fetch(query_of(by), tenant, since, until, limit + 2)  # the sum, and one more line
    return Costs(_line(rows[0], []), [_line(each) for each in rows[1 : limit + 1]], len(rows) <= limit + 1)


def query_of(by: Sequence[str]) -> str:
    """Return the statement that groups by these names."""
    columns = [f"by_{number}" for number in range(len(by))]
    named = list(zip(columns, by, strict=True))
    own = [f"{_NAMES[name]} AS {column}" for column, name in named if name != "task_type"]
    typed = [f"{_NAMES[name]} AS {column}" for column, name in named if name == "task_type"]
    groups = [column for column, name in named if name != "task_type"]
    return _COSTS.format(
        own="".join(f", {each}" for each in own),
        groups="".join(f", {each}" for each in groups),
        type="".join(f", {each}" for each in typed),
        started=_STARTED if typed else "",
        names=f"ARRAY[{', '.join(f'{each}::text' for each in columns)}]",
        columns=", ".join(columns),
        sums=_SUMS,
    )


def _line(row: asyncpg.Record, names: Sequence[str] | None = None) -> Line:
    values: dict[str, Any] = {name: each or 0 for name, each in row.items() if name != "names"}
    return Line(names=[each or UNNAMED for each in row["names"]] if names is None else names, **values)
