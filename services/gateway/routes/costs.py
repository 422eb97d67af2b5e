"""Routes about costs, from counters of days: no request reads runs."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query

from schemas.api.costs import CostLine, CostReport, TenantCosts
from services.gateway.dependencies import PartsDep, Tenant
from services.gateway.errors import error_responses
from shared.blackboard import Spending, Sums, days_of_costs, tenants_with_costs

router = APIRouter(prefix="/v1/costs", tags=["costs"], responses=error_responses())

MOST_TENANTS = 500

Days = Annotated[int, Query(ge=1, le=30, description="Days, today included, by UTC.")]


@router.get("", summary="Show costs")
async def show_costs(tenant: Tenant, parts: PartsDep, days: Days = 1) -> CostReport:
    """Costs of the tenant by day, agent, model and type of task. Spending counts when an agent has reported it."""
    today = datetime.now(UTC).date()
    found = await days_of_costs(parts.redis, tenant, today, days)
    return CostReport(
        tenant=tenant,
        since=found[0][0],
        until=today,
        total=_line("", _total(sums for _, sums in found)),
        days=[_line(day.isoformat(), _total([sums])) for day, sums in found],
        agents=_lines(found, "agent"),
        models=_lines(found, "model"),
        types=_lines(found, "type"),
    )


@router.get("/tenants", summary="Show costs of all tenants")
async def show_tenant_costs(parts: PartsDep, days: Days = 1) -> TenantCosts:
    """Costs of each tenant that has spent in these days."""
    today = datetime.now(UTC).date()
    since = today - timedelta(days=days - 1)
    names = await tenants_with_costs(parts.redis, since, MOST_TENANTS + 1)
    found = await asyncio.gather(*(days_of_costs(parts.redis, each, today, days) for each in names[:MOST_TENANTS]))
    totals = ((name, _total(sums for _, sums in sums_of)) for name, sums_of in zip(names, found, strict=False))
    return TenantCosts(since=since, until=today, tenants=_sorted(totals), complete=len(names) <= MOST_TENANTS)


def _total(sums: Iterable[Sums]) -> Spending:
    total = Spending()
    for each in sums:
        total = total.plus(each.get(("all", ""), Spending()))
    return total


def _lines(found: list[tuple[date, Sums]], dimension: str) -> list[CostLine]:
    names = dict[str, Spending]()
    for _, sums in found:
        for (kind, name), spent in sums.items():
            if kind == dimension:
                names[name] = names.get(name, Spending()).plus(spent)
    return _sorted(names.items())


def _sorted(names: Iterable[tuple[str, Spending]]) -> list[CostLine]:
    lines = [_line(name, spent) for name, spent in names]
    return sorted(lines, key=lambda line: (-line.cost_usd, -line.tokens, line.name))


def _line(name: str, spent: Spending) -> CostLine:
    return CostLine(name=name, **spent._asdict())
