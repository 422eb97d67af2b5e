"""Messages to a run at work, from the form on its page."""

import secrets

from fastapi import APIRouter
from starlette.responses import Response

from schemas.error import ErrorInfo
from services.console.forms import author_in
from services.console.gateway import GatewayFailure
from services.console.pages import path, see_other
from services.console.routes.run import RunId, run_page
from services.console.visitor import Visitor, VisitorDep

router = APIRouter()


@router.post("/runs/{run_id}/messages")
async def say_to_run(visitor: VisitorDep, run_id: RunId) -> Response:
    """Send the message to the gateway."""
    form = await visitor.form()
    text = form.get("text", "").strip()
    order = author_in(form) | {"text": text, "message_id": f"console-{form.get('nonce') or secrets.token_hex(8)}"}
    try:
        await _say(visitor, run_id, order)
    except GatewayFailure as failure:
        return await run_page(visitor, run_id, failure=failure, text=text)
    return see_other(visitor, path("runs", run_id, tenant=visitor.tenant, notice="said"))


async def _say(visitor: Visitor, run_id: str, order: dict[str, str]) -> None:
    """Raise GatewayFailure for an empty message, and if the gateway refuses it."""
    if not order["text"]:
        action = "Write what the agents should know, and send the form again."
        raise GatewayFailure(422, ErrorInfo(code="missing_field", message="Nothing was said.", suggested_action=action))
    await visitor.gateway.command(run_id, "messages", order)
