"""The inbox: open questions, and the answers to them, one by one or several at once."""

from collections.abc import Mapping
from typing import Annotated, TypeAlias

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from schemas.api.runs import RunPage
from schemas.error import ErrorInfo
from schemas.message import Id
from services.console.answers import Refusal, answer_in
from services.console.gateway import GatewayFailure
from services.console.pages import page, path, see_other
from services.console.questions import EVENTS_ON_A_PAGE, MOST_PAGES, Question, find_answered, next_question, read_inbox
from services.console.visitor import Visitor, VisitorDep

router = APIRouter()

RunId: TypeAlias = Annotated[Id, Path()]
RequestId: TypeAlias = Annotated[Id, Query()]
Form: TypeAlias = Mapping[str, str]
Cursor: TypeAlias = Annotated[str, Query(max_length=600)]

RESULTS_SHOWN = 10

NOTICES = frozenset({"approve", "edit", "respond", "reject", "skip", "withdraw", "delegate"})
"""Answers that a page can report as sent."""


@router.get("/inbox")
async def show_inbox(
    visitor: VisitorDep, offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0, notice: str = "", pick: str = ""
) -> Response:
    """Open questions, riskiest first, then oldest first. `pick`: `all` chooses all of the page."""
    inbox = await read_inbox(visitor.gateway, offset=offset)
    to_review = None if offset else await _results_to_review(visitor)
    notice, picked = notice if notice in NOTICES else "", pick == "all"
    return page(visitor, "inbox.html", inbox=inbox, offset=offset, notice=notice, picked=picked, to_review=to_review)


async def _results_to_review(visitor: Visitor) -> RunPage | None:
    """Return the latest ended runs that failed an automatic check and have no feedback.

    None if there are none, and for a key that may decide and list no runs.
    """
    wanted = {"to_review": "true", "limit": str(RESULTS_SHOWN)}
    try:
        found = await visitor.gateway.ask(RunPage, "GET", "/v1/runs", wanted)
    except GatewayFailure as refused:
        if refused.error.code != "forbidden":
            raise
        return None
    return found if found.runs else None


@router.get("/inbox/next")
async def show_next(visitor: VisitorDep, past: Cursor = "", notice: str = "") -> Response:
    """One question at a time: the first in the inbox after the one that was just seen."""
    number, total, question = await next_question(visitor.gateway, past)
    return page(
        visitor,
        "next.html",
        question=question,
        number=number,
        total=total,
        past=past,
        notice=notice if notice in NOTICES else "",
    )


@router.get("/runs/{run_id}/question")
async def show_question(visitor: VisitorDep, run_id: RunId, id: RequestId, notice: str = "") -> Response:
    """One question with its form; of a question that is no longer open, the decision."""
    return await _question_page(visitor, run_id, id, notice=notice)


@router.post("/runs/{run_id}/question")
async def decide(visitor: VisitorDep, run_id: RunId, id: RequestId) -> Response:
    """Send the answer to the gateway, bound to the call that was shown."""
    form = await visitor.form()
    try:
        body = answer_in(form, id)
    except Refusal as refused:
        return await _question_page(visitor, run_id, id, 422, refused.error, form)
    try:
        await visitor.gateway.command(run_id, "decisions", body)
    except GatewayFailure as failure:
        return await _refused_page(visitor, run_id, id, failure, form)
    notice = str(body["decision"])
    match form.get("then"):
        case "inbox":
            return see_other(visitor, path("inbox", tenant=visitor.tenant, notice=notice))
        case "next":
            return see_other(
                visitor, path("inbox", "next", tenant=visitor.tenant, past=form.get("past", ""), notice=notice)
            )
    return see_other(visitor, path("runs", run_id, tenant=visitor.tenant, notice=notice))


@router.post("/runs/{run_id}/question/{order}")
async def change_answer(
    visitor: VisitorDep, run_id: RunId, order: Annotated[str, Path(pattern="^(withdraw|delegate)$")], id: RequestId
) -> Response:
    """Withdraw the visitor's answer, or let another person answer in their place."""
    form = await visitor.form()
    body = {"request_id": id} | {name: form[name] for name in ("by", "to") if form.get(name)}
    try:
        await visitor.gateway.command(run_id, f"decisions/{order}", body)
    except GatewayFailure as failure:
        return await _refused_page(visitor, run_id, id, failure, form)
    return see_other(visitor, path("runs", run_id, "question", id=id, tenant=visitor.tenant, notice=order))


async def _refused_page(
    visitor: Visitor, run_id: str, request_id: str, refused: GatewayFailure, form: Form
) -> Response:
    """Return the question with the reason why the answer was refused; without it for a key that cannot read runs."""
    try:
        return await _question_page(visitor, run_id, request_id, refused.status, refused.error, form)
    except GatewayFailure:
        raise refused from None


async def _question_page(
    visitor: Visitor,
    run_id: str,
    request_id: str,
    status: int = 200,
    failure: ErrorInfo | None = None,
    form: Form | None = None,
    notice: str = "",
) -> Response:
    """Return the page of a question. Once it was decided: by whom and how, with the failure of a second decision."""
    run = await visitor.gateway.run(run_id)
    question = next((each for each in Question.all_of(run) if each.asked.request_id == request_id), None)
    earlier, complete = (None, True) if question else await find_answered(visitor.gateway, run_id, request_id)
    return page(
        visitor,
        "question.html",
        status if question or earlier or failure else 404,
        run=run,
        question=question,
        earlier=earlier,
        searched=None if complete else EVENTS_ON_A_PAGE * MOST_PAGES,
        failure=failure,
        given=form or {},
        notice=notice if notice in NOTICES else "",
    )
