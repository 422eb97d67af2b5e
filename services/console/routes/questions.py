"""The inbox: open questions, and the decisions on them."""

import asyncio
from typing import Annotated, TypeAlias

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from schemas.error import ErrorInfo
from schemas.message import Id
from services.console.gateway import GatewayFailure
from services.console.pages import page, path, see_other
from services.console.questions import ON_A_PAGE, Question, answered, read_inbox
from services.console.visitor import Visitor, VisitorDep

router = APIRouter()

RunId: TypeAlias = Annotated[Id, Path()]
RequestId: TypeAlias = Annotated[Id, Query()]

_NO_REASON = ErrorInfo(
    code="missing_field",
    message="A rejection needs a reason: the planner gets it.",
    suggested_action="Write the reason in the message and reject again.",
)
_NO_CHOICE = ErrorInfo(
    code="missing_field", message="Nothing was decided.", suggested_action="Use one of the two buttons."
)


@router.get("/inbox")
async def show_inbox(
    visitor: VisitorDep, offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0, notice: str = ""
) -> Response:
    """Open questions, riskiest first, then oldest first."""
    inbox = await read_inbox(visitor.gateway)
    following = offset + ON_A_PAGE
    return page(
        visitor,
        "inbox.html",
        inbox=inbox,
        questions=inbox.questions[offset:following],
        offset=offset,
        following=following if following < len(inbox.questions) else None,
        notice=notice if notice in {"approve", "reject"} else "",
    )


@router.get("/runs/{run_id}/question")
async def show_question(visitor: VisitorDep, run_id: RunId, id: RequestId) -> Response:
    """One question with its form; of a question that is no longer open, the decision."""
    return await _question_page(visitor, run_id, id)


@router.post("/runs/{run_id}/question")
async def decide(visitor: VisitorDep, run_id: RunId, id: RequestId) -> Response:
    """Send the decision to the gateway, bound to the call that was shown."""
    form = await visitor.form()
    decision, message = form.get("decision", ""), _message(form.get("option", ""), form.get("message", ""))
    if decision not in {"approve", "reject"}:
        return await _question_page(visitor, run_id, id, 422, _NO_CHOICE, message)
    if decision == "reject" and not message:
        return await _question_page(visitor, run_id, id, 422, _NO_REASON)
    body = {"request_id": id, "decision": decision, "answer": message}
    body |= {name: form[name] for name in ("digest", "by") if form.get(name)}
    try:
        await visitor.gateway.command(run_id, "decisions", body)
    except GatewayFailure as failure:
        if failure.status == 401:
            raise
        return await _refused_page(visitor, run_id, id, failure, message)
    if form.get("then") == "inbox":
        return see_other(visitor, path("inbox", tenant=visitor.tenant, notice=decision))
    return see_other(visitor, path("runs", run_id, tenant=visitor.tenant, notice=decision))


def _message(option: str, message: str) -> str:
    """Return the chosen option and the message as one text for the agent."""
    return "\n".join(each for each in (option, message) if each)


async def _refused_page(
    visitor: Visitor, run_id: str, request_id: str, refused: GatewayFailure, message: str
) -> Response:
    """Return the question with the reason why the decision was refused; without it for a key that cannot read runs."""
    try:
        return await _question_page(visitor, run_id, request_id, refused.status, refused.error, message)
    except GatewayFailure:
        raise refused from None


async def _question_page(
    visitor: Visitor,
    run_id: str,
    request_id: str,
    status: int = 200,
    failure: ErrorInfo | None = None,
    message: str = "",
) -> Response:
    """Return the page of a question. Once it was decided: by whom and how, with the failure of a second decision."""
    run, trace = await asyncio.gather(visitor.gateway.run(run_id), visitor.gateway.trace(run_id))
    question = Question.of_run(run, trace)
    is_open = question is not None and question.asked.request_id == request_id
    earlier = None if is_open else answered(trace, request_id)
    return page(
        visitor,
        "question.html",
        status if is_open or earlier or failure else 404,
        run=run,
        question=question if is_open else None,
        earlier=earlier,
        failure=failure,
        message=message,
    )
