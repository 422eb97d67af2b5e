"""Conversations: their list, one with its turns, the next thing to say, and the end."""

import secrets
from functools import partial
from typing import Annotated, TypeAlias

from fastapi import APIRouter, Header, Path, Query, Request
from starlette.responses import Response

from schemas.api.commands import CommandAccepted
from schemas.error import ErrorInfo
from schemas.message import Id
from services.console.conversations import Talk, follow_talk, session_path, sessions_of, talk_of
from services.console.forms import author_in
from services.console.gateway import GatewayFailure
from services.console.live import Subject
from services.console.pages import page, path, see_other
from services.console.routes.live import closed_stream, stream
from services.console.visitor import Visitor, VisitorDep

router = APIRouter()

ON_A_PAGE = 50
"""Sessions on a page of the list."""

_ENDED = "The conversation has ended: the next thing you say begins it again, without what was said."

Name: TypeAlias = Annotated[Id, Path()]
Submitted: TypeAlias = Annotated[str, Query(max_length=255)]
Offset: TypeAlias = Annotated[int, Query(ge=0, le=1_000_000)]


@router.get("/sessions")
async def list_conversations(visitor: VisitorDep, offset: Offset = 0) -> Response:
    """A page of conversations, the one with the latest turn first, and a form that begins one."""
    return await _list_page(visitor, offset)


@router.post("/sessions")
async def begin_conversation(visitor: VisitorDep) -> Response:
    """Submit the first task of a conversation."""
    form = await visitor.form()
    text, name = form.get("objective", ""), form.get("session") or f"talk-{secrets.token_hex(4)}"
    try:
        run_id = await _submitted(visitor, name, text, form.get("nonce", ""))
    except GatewayFailure as failure:
        return await _list_page(visitor, 0, failure, text, form.get("session", ""))
    return _to_conversation(visitor, name, run_id)


@router.get("/sessions/{session:path}")
async def show_conversation(visitor: VisitorDep, session: Name, run: Submitted = "", notice: str = "") -> Response:
    """The turns of a conversation, and a form for the next thing to say."""
    return _page(visitor, await talk_of(visitor.gateway, session, run), run, notice=notice)


@router.post("/sessions/{session:path}/say")
async def say(visitor: VisitorDep, session: Name) -> Response:
    """Submit the next task of a conversation."""
    form = await visitor.form()
    text = form.get("objective", "")
    try:
        run_id = await _submitted(visitor, session, text, form.get("nonce", ""))
    except GatewayFailure as failure:
        talk = await talk_of(visitor.gateway, session, "-")
        return _page(visitor, talk, "", failure, text)
    return _to_conversation(visitor, session, run_id)


@router.post("/sessions/{session:path}/end")
async def end_conversation(visitor: VisitorDep, session: Name) -> Response:
    """End a conversation."""
    form = await visitor.form()
    try:
        await visitor.gateway.ask(CommandAccepted, "POST", session_path(session, "end"), body=author_in(form))
    except GatewayFailure as failure:
        return _page(visitor, await talk_of(visitor.gateway, session, "-"), "", failure)
    return see_other(visitor, path("sessions", session, tenant=visitor.tenant, notice="ended"))


@router.get("/conversation-live/{session:path}")
async def stream_conversation(
    request: Request,
    visitor: VisitorDep,
    session: Name,
    run: Submitted = "",
    last_event_id: Annotated[str, Header(alias="Last-Event-ID")] = "",
) -> Response:
    """The turns of a conversation, whenever they change, while a run of it is at work."""
    if closed := await closed_stream(visitor, talk_of(visitor.gateway, session, run or "-")):
        return closed
    subject = Subject(visitor.key, (visitor.tenant, "conversation", session, run), polls=True)
    return stream(request, visitor, subject, partial(follow_talk, visitor.gateway, session, run), last_event_id)


async def _submitted(visitor: Visitor, session: str, text: str, nonce: str) -> str:
    """Submit a task and return its run. Raises GatewayFailure."""
    if not text:
        action = "Write what the swarm should do or answer, and send the form again."
        raise GatewayFailure(422, ErrorInfo(code="missing_field", message="Nothing was said.", suggested_action=action))
    task = {"objective": text, "session": session}
    return (await visitor.gateway.submit(task, f"console-{nonce or secrets.token_hex(8)}")).run_id


def _to_conversation(visitor: Visitor, session: str, run_id: str) -> Response:
    return see_other(visitor, path("sessions", session, tenant=visitor.tenant, run=run_id) + "#say")


async def _list_page(
    visitor: Visitor, offset: int, failure: GatewayFailure | None = None, text: str = "", name: str = ""
) -> Response:
    found = await sessions_of(visitor.gateway, offset, ON_A_PAGE)
    return page(
        visitor,
        "conversations.html",
        failure.status if failure else 200,
        sessions=found.sessions,
        next_offset=found.next_offset,
        offset=offset,
        failure=failure.error if failure else None,
        text=text,
        name=name,
        nonce=secrets.token_hex(8),
    )


def _page(
    visitor: Visitor,
    talk: Talk,
    run: str,
    failure: GatewayFailure | None = None,
    text: str = "",
    notice: str = "",
) -> Response:
    return page(
        visitor,
        "conversation.html",
        failure.status if failure else 200,
        **talk.values,
        follows=talk.at_work,
        run=run,
        failure=failure.error if failure else None,
        text=text,
        notice=_ENDED if notice == "ended" else "",
        nonce=secrets.token_hex(8),
    )
