"""Costs of a tenant, and of all tenants for a key that may see them."""

from fastapi import APIRouter
from starlette.responses import Response

from schemas.api.costs import CostReport, TenantCosts
from services.console.gateway import answer_or_none
from services.console.pages import page
from services.console.visitor import VisitorDep

router = APIRouter()

PERIODS = {1: "today", 7: "7 days", 30: "30 days"}


@router.get("/costs")
async def show_costs(visitor: VisitorDep, days: str = "1") -> Response:
    """Sums by day, agent, model, type of task and tenant."""
    chosen = int(days) if days.isdecimal() and int(days) in PERIODS else 1
    params = {"days": str(chosen)}
    report = await visitor.gateway.ask(CostReport, "GET", "/v1/costs", params)
    tenants = await answer_or_none(visitor.gateway.ask(TenantCosts, "GET", "/v1/costs/tenants", params), 403)
    return page(visitor, "costs.html", report=report, tenants=tenants, days=chosen, periods=PERIODS)
