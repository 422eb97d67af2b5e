"""Feedback on an ended run, from the form on its page."""

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from schemas.error import ErrorInfo
from services.console.forms import author_in
from services.console.gateway import GatewayFailure
from services.console.pages import path, see_other
from services.console.routes.run import RunId, run_page
from services.console.visitor import Visitor, VisitorDep

router = APIRouter()

_SOLVED = {"yes": True, "no": False}


@router.post("/runs/{run_id}/feedback")
async def give_feedback(visitor: VisitorDep, run_id: RunId) -> Response:
    """Send the feedback to the gateway."""
    form = await visitor.form()
    order: dict[str, Any] = {**author_in(form), "solved": _SOLVED.get(form.get("solved", ""))}
    order |= {name: form[name] for name in ("score", "comment") if form.get(name)}
    try:
        await _give(visitor, run_id, order)
    except GatewayFailure as failure:
        return await run_page(visitor, run_id, failure=failure, rated=form)
    return see_other(visitor, path("runs", run_id, tenant=visitor.tenant, notice="rated"))


async def _give(visitor: Visitor, run_id: str, order: dict[str, Any]) -> None:
    """Raise GatewayFailure if the form has no answer, and if the gateway refuses it."""
    if order["solved"] is None:
        action = "Say yes or no with one of the two buttons."
        missing = ErrorInfo(code="missing_field", message="The form says neither yes nor no.", suggested_action=action)
        raise GatewayFailure(422, missing)
    await visitor.gateway.command(run_id, "feedback", order)
