"""The checks that the gateway makes of the swarm."""

from fastapi import APIRouter
from starlette.responses import Response

from schemas.api.checks import Check
from services.console.pages import page
from services.console.visitor import VisitorDep

router = APIRouter()

_WORST_FIRST = {"fail": 0, "warn": 1, "ok": 2}


@router.get("/doctor")
async def show_checks(visitor: VisitorDep) -> Response:
    """All checks, the worst first."""
    checks = await visitor.gateway.ask_many(Check, "/v1/checks")
    return page(visitor, "doctor.html", checks=sorted(checks, key=lambda check: _WORST_FIRST[check.verdict]))
