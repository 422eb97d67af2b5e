"""Costs by the audit record as callers see them."""

from datetime import UTC, datetime

from schemas.api.audit_costs import AuditCostLine, AuditCostQuestion, AuditCosts
from shared.audit import AuditStore
from shared.audit.costing import Line, costs


def range_of(query: AuditCostQuestion, now: datetime) -> tuple[datetime, datetime]:
    """Return the first time and the time after the last. Raises ValueError."""
    if query.month and (query.since or query.until):
        raise ValueError("month: is one range, and `since` and `until` are another")
    if query.since or query.until:
        since, until = query.since or datetime(2020, 1, 1, tzinfo=UTC), query.until or now
    else:
        year, month = map(int, (query.month or f"{now:%Y-%m}").split("-"))
        since = datetime(year, month, 1, tzinfo=UTC)
        until = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    if since >= until:
        raise ValueError("since: is not before the end of the range")
    return since, until


async def costs_of(record: AuditStore, tenant: str, query: AuditCostQuestion, now: datetime) -> AuditCosts:
    """Return the costs. Raises ValueError, ArchiveUnavailable."""
    since, until = range_of(query, now)
    by = list(dict.fromkeys(query.by))
    found = await costs(record, tenant, by, since, until, query.limit)
    lines = [_line(each) for each in found.lines]
    return AuditCosts(
        tenant=tenant, since=since, until=until, by=by, total=_line(found.total), lines=lines, complete=found.complete
    )


def _line(line: Line) -> AuditCostLine:
    sums = {name: getattr(line, name) for name in ("tokens_in", "tokens_out", "model_calls", "tool_calls", "lost")}
    return AuditCostLine(names=list(line.names), cost_usd=line.cost, **sums)
