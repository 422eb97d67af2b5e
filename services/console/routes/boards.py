"""The entries of a run's board, and claims on resources with the order to release one."""

from typing import Annotated, TypeAlias

from fastapi import APIRouter, Query
from starlette.responses import Response

from schemas.api.boards import ClaimsView
from schemas.api.commands import CommandAccepted
from schemas.board import LONGEST_KEY, BoardKind
from schemas.error import ErrorInfo
from services.console.gateway import GatewayFailure
from services.console.pages import page, path, see_other
from services.console.routes.run import RunId
from services.console.visitor import Visitor, VisitorDep

router = APIRouter()

Key: TypeAlias = Annotated[str, Query(min_length=1, max_length=LONGEST_KEY)]

_RELEASED = "The gateway accepted the release. Its effect shows on this page in a moment; reload it."


@router.get("/runs/{run_id}/board")
async def show_board(visitor: VisitorDep, run_id: RunId, kind: BoardKind, key: Key) -> Response:
    """All versions of one entry."""
    board = await visitor.gateway.board(run_id, {"kind": kind, "key": key, "history": "true"})
    return page(visitor, "board.html", run_id=run_id, kind=kind, key=key, board=board)


@router.get("/claims")
async def show_claims(visitor: VisitorDep, notice: str = "") -> Response:
    """Resources that runs of the tenant hold."""
    return await _claims(visitor, notice=_RELEASED if notice == "released" else "")


@router.post("/claims/release")
async def release_claim(visitor: VisitorDep) -> Response:
    """Send the release to the gateway."""
    form = await visitor.form()
    order = {each: form[each] for each in ("resource", "number", "reason", "by") if form.get(each)}
    try:
        await visitor.gateway.ask(CommandAccepted, "POST", "/v1/claims/release", body=order)
    except GatewayFailure as failure:
        return await _claims(visitor, failure.status, failure.error)
    return see_other(visitor, path("claims", tenant=visitor.tenant, notice="released"))


async def _claims(visitor: Visitor, status: int = 200, failure: ErrorInfo | None = None, notice: str = "") -> Response:
    found = await visitor.gateway.ask(ClaimsView, "GET", "/v1/claims")
    return page(visitor, "claims.html", status, claims=found.claims, failure=failure, notice=notice)
