"""Stops of operators: a look at one, and the order to lift it."""

from typing import Annotated, TypeAlias

from fastapi import APIRouter, Path
from starlette.responses import Response

from schemas.error import ErrorInfo
from services.console.pages import failure_page, page, path, see_other
from services.console.visitor import VisitorDep

router = APIRouter()

Scope: TypeAlias = Annotated[str, Path(max_length=200)]


@router.get("/stops/{scope}")
async def show_stop(visitor: VisitorDep, scope: Scope) -> Response:
    """The stop with its reason, and the question whether it is to be lifted."""
    stop = next((each for each in await visitor.gateway.stops() if each.scope == scope), None)
    if stop is None:
        action = "See the overview for the stops in force."
        missing = ErrorInfo(code="unknown_page", message="This scope is not stopped.", suggested_action=action)
        return failure_page(visitor, 404, missing)
    return page(visitor, "stop.html", stop=stop)


@router.post("/stops/{scope}")
async def lift_stop(visitor: VisitorDep, scope: Scope) -> Response:
    """Lift the stop, and return to the overview."""
    await visitor.form()
    await visitor.gateway.release(scope)
    return see_other(visitor, path(tenant=visitor.tenant))
