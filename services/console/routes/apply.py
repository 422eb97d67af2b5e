"""Applying a dry run: the calls that it has shown, each with arguments, verdict and risk, bound to their digest."""

from fastapi import APIRouter
from starlette.responses import Response

from schemas.api.commands import CommandAccepted
from schemas.error import ErrorInfo
from services.console.forms import author_in
from services.console.gateway import GatewayFailure
from services.console.pages import page, path, see_other
from services.console.routes.run import RunId
from services.console.visitor import Visitor, VisitorDep

router = APIRouter()


@router.get("/runs/{run_id}/apply")
async def show_effects(visitor: VisitorDep, run_id: RunId) -> Response:
    """The calls of the dry run."""
    return await _effects(visitor, run_id)


@router.post("/runs/{run_id}/apply")
async def apply(visitor: VisitorDep, run_id: RunId) -> Response:
    """Have exactly the calls that were shown made."""
    form = await visitor.form()
    body = {"digest": form.get("digest", "")} | author_in(form)
    try:
        await visitor.gateway.ask(CommandAccepted, "POST", f"/v1/runs/{run_id}/carry-out", body=body)
    except GatewayFailure as refused:
        return await _effects(visitor, run_id, refused.status, refused.error)
    return see_other(visitor, path("runs", run_id, tenant=visitor.tenant))


async def _effects(visitor: Visitor, run_id: str, status: int = 200, failure: ErrorInfo | None = None) -> Response:
    run = await visitor.gateway.run(run_id)
    result = await visitor.gateway.result(run_id)
    return page(visitor, "apply.html", status, run=run, result=result, failure=failure)
