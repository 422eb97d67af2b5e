"""One run: its page, and the orders that an operator gives it."""

import asyncio
import secrets
from collections.abc import Mapping
from typing import Annotated, TypeAlias

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from schemas.api.runs import RunView
from schemas.error import ErrorInfo
from schemas.event import ENDS
from schemas.message import Id
from services.console.actions import ACTIONS, Action, send
from services.console.gateway import GatewayFailure
from services.console.pages import failure_page, page, path, see_other
from services.console.questions import Question
from services.console.run_page import EVENTS, is_stopped, shown_parts
from services.console.visitor import Visitor, VisitorDep

router = APIRouter()

_EFFECT = "Its effect shows on this page in a moment; without JavaScript, reload it."

RunId: TypeAlias = Annotated[Id, Path()]
Position: TypeAlias = Annotated[str, Query(pattern=r"^(\d{1,20}-\d{1,20})?$")]


@router.get("/runs/{run_id}")
async def show_run(visitor: VisitorDep, run_id: RunId, before: Position = "", notice: str = "") -> Response:
    """State, question, messages, plan, a page of the timeline, result and orders of a run."""
    return await run_page(visitor, run_id, before, notice=notice)


async def run_page(
    visitor: Visitor,
    run_id: str,
    before: str = "",
    failure: GatewayFailure | None = None,
    text: str = "",
    rated: Mapping[str, str] | None = None,
    notice: str = "",
) -> Response:
    """Return the page of a run. `failure`: of the message `text` or the feedback `rated`, which its form keeps."""
    gateway = visitor.gateway
    run, trace, board, stopped, result = await asyncio.gather(
        gateway.run(run_id),
        gateway.trace(run_id, EVENTS, before),
        gateway.board(run_id),
        is_stopped(gateway, run_id),
        gateway.result(run_id),
    )
    return page(
        visitor,
        "run.html",
        failure.status if failure else 200,
        **(shown_parts(run, trace, board, stopped=stopped) | {"before": before}),
        result=result,
        questions=Question.all_of(run),
        follows=not before and (run.state not in ENDS or run.settling),
        notice=_notice(notice),
        failure=failure.error if failure else None,
        text=text,
        rated=rated or {},
        nonce=secrets.token_hex(8),
    )


@router.get("/runs/{run_id}/orders/{name}")
async def confirm_order(visitor: VisitorDep, run_id: RunId, name: str) -> Response:
    """The question whether the order is meant."""
    action = ACTIONS.get(name)
    if action is None:
        return unknown_page(visitor)
    return _confirmation(visitor, await visitor.gateway.run(run_id), action)


@router.post("/runs/{run_id}/orders/{name}")
async def give_order(visitor: VisitorDep, run_id: RunId, name: str) -> Response:
    """Send the order to the gateway."""
    form, action = await visitor.form(), ACTIONS.get(name)
    if action is None:
        return unknown_page(visitor)
    given = {each: form[each] for each in ("reason", "by") if form.get(each)}
    if action.reasoned and "reason" not in given:
        failure = _missing("A reason is needed: it is recorded with the order.")
        return _confirmation(visitor, await visitor.gateway.run(run_id), action, 422, failure)
    try:
        await send(visitor.gateway, action, run_id, given)
    except GatewayFailure as failure:
        run = await visitor.gateway.run(run_id)
        return _confirmation(visitor, run, action, failure.status, failure.error)
    return see_other(visitor, path("runs", run_id, tenant=visitor.tenant, notice=name))


def _confirmation(
    visitor: Visitor, run: RunView, action: Action, status: int = 200, failure: ErrorInfo | None = None
) -> Response:
    return page(visitor, "order.html", status, run=run, action=action, failure=failure)


def _notice(name: str) -> str:
    if name == "submitted":
        return "The gateway accepted the task: this is its new run."
    if name == "said":
        return f"The gateway accepted the message. {_EFFECT}"
    if name == "rated":
        return f"The gateway accepted your feedback. {_EFFECT}"
    if name in {"approve", "reject"}:
        return f"The gateway accepted the decision. {_EFFECT}"
    return f"{ACTIONS[name].done} {_EFFECT}" if name in ACTIONS else ""


def _missing(message: str) -> ErrorInfo:
    return ErrorInfo(code="missing_field", message=message, suggested_action="Fill it in and send the form again.")


def unknown_page(visitor: Visitor) -> Response:
    """Return 404 for an address that is no page."""
    action = "Use the links at the top of the page."
    error = ErrorInfo(code="unknown_page", message="The console has no such page.", suggested_action=action)
    return failure_page(visitor, 404, error)
