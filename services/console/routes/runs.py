"""The list of runs."""

from typing import Annotated, TypeAlias

from fastapi import APIRouter, Query
from starlette.responses import Response

from schemas.event import State
from services.console.pages import page
from services.console.visitor import VisitorDep

router = APIRouter()

ON_A_PAGE = 50
"""Runs on a page of the list."""

Offset: TypeAlias = Annotated[int, Query(ge=0, le=1_000_000)]


@router.get("/runs")
async def list_runs(visitor: VisitorDep, state: str = "", offset: Offset = 0) -> Response:
    """A page of runs, newest first."""
    chosen = State(state) if state in State.__members__ else None
    found = await visitor.gateway.runs(chosen, ON_A_PAGE, offset)
    return page(visitor, "runs.html", runs=found, states=list(State), state=chosen, offset=offset)
