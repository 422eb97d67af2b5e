"""The list of runs."""

from typing import Annotated, TypeAlias

from fastapi import APIRouter, Query
from starlette.responses import Response

from schemas.api.runs import RunPage
from schemas.event import State
from services.console.gateway import GatewayFailure
from services.console.pages import page
from services.console.run_filters import AGES, FLAGS, RunFilters
from services.console.visitor import VisitorDep

router = APIRouter()

ON_A_PAGE = 50
"""Runs on a page of the list."""

Cursor: TypeAlias = Annotated[str, Query(max_length=300)]


@router.get("/runs")
async def list_runs(visitor: VisitorDep, cursor: Cursor = "") -> Response:
    """A page of the runs that match, newest first."""
    filters = RunFilters.given(visitor.request.query_params)
    wanted = filters.wanted() | {"limit": str(ON_A_PAGE)} | ({"cursor": cursor} if cursor else {})
    failure, found = None, None
    try:
        found = await visitor.gateway.ask(RunPage, "GET", "/v1/runs", wanted)
    except GatewayFailure as refused:
        if refused.error.code != "invalid_request":
            raise
        failure = refused.error
    return page(
        visitor,
        "runs.html",
        422 if failure else 200,
        runs=found,
        failure=failure,
        filters=filters,
        cursor=cursor,
        states=list(State),
        ages=list(AGES),
        flags=FLAGS,
    )
