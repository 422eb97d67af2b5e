"""Dead letters: the list, one of them, and the orders to redrive or discard it."""

from typing import Annotated, TypeAlias

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import Response

from schemas.dead import DeadLetterHandled
from schemas.error import ErrorInfo
from services.console.dead_letters import (
    AGES,
    LISTED,
    SHOWN_BYTES,
    SHOWN_CHARACTERS,
    STATES,
    Filters,
    bytes_of,
    find,
    hex_dump,
    path_of,
    read,
)
from services.console.forms import author_in
from services.console.gateway import GatewayFailure
from services.console.pages import page, path, see_other
from services.console.visitor import Visitor, VisitorDep

router = APIRouter()
one = APIRouter(prefix="/dead-letters/{topic}/{partition}/{offset}")

NOTICES = {
    "redrive": "It was redriven. If it fails once more, it is a new dead letter.",
    "discard": "It was discarded.",
    "edit": "The corrected record was published.",
}
_LONGEST_REASON = 19_000


async def name_of(
    topic: Annotated[str, Path(max_length=255)],
    partition: Annotated[int, Path(ge=0, le=1_000_000)],
    offset: Annotated[int, Path(ge=0, le=2**63)],
) -> str:
    """Return the name of the dead letter in the address."""
    return f"{topic}/{partition}/{offset}"


Name: TypeAlias = Annotated[str, Depends(name_of)]


@router.get("/dead-letters")
async def list_dead_letters(
    visitor: VisitorDep, state: str = "open", limit: Annotated[int, Query(ge=1, le=1_000)] = LISTED[0]
) -> Response:
    """Dead letters that match, newest first."""
    filters, state = Filters.given(visitor.request.query_params), state if state in STATES else "open"
    failure, found = None, None
    try:
        found = await find(visitor.gateway, filters, state, limit)
    except GatewayFailure as refused:
        if refused.error.code != "unknown_topic":
            raise
        failure = refused.error
    following = next((each for each in LISTED if each > limit), None)
    return page(
        visitor,
        "dead_letters.html",
        200 if failure is None else 404,
        found=found,
        failure=failure,
        filters=filters,
        state=state,
        states=STATES,
        ages=list(AGES),
        limit=limit,
        following=following if found and not found.complete else None,
    )


@one.get("")
async def show_dead_letter(visitor: VisitorDep, name: Name, show: str = "", notice: str = "") -> Response:
    """One dead letter; its payload, decoded or raw, only if that is asked for; after an edit, the changes."""
    looked = show in {"text", "hex"} or notice == "edit"
    letter = await read(visitor.gateway, name, contents=looked)
    content = bytes_of(letter.payload)
    shown = (letter.payload.text or "")[:SHOWN_CHARACTERS] if show == "text" else hex_dump(content)
    return page(
        visitor,
        "dead_letter.html",
        letter=letter,
        show=show if show in {"text", "hex"} else "",
        shown=shown,
        looked=looked,
        withheld=letter.payload.text is None and letter.payload.base64 is None,
        more=len(letter.payload.text or "") > SHOWN_CHARACTERS if show == "text" else len(content) > SHOWN_BYTES,
        notice=NOTICES.get(notice, ""),
    )


@one.get("/{verb}")
async def confirm_one(visitor: VisitorDep, name: Name, verb: str) -> Response:
    """The question whether the order is meant."""
    return await _confirmation(visitor, name, known(verb))


@one.post("/{verb}")
async def handle_one(visitor: VisitorDep, name: Name, verb: str) -> Response:
    """Redrive or discard it."""
    form, verb = await visitor.form(), known(verb)
    reason, again = form.get("reason", "")[:_LONGEST_REASON], form.get("again") == "1"
    if not reason and (verb == "discard" or again):
        return await _confirmation(visitor, name, verb, 422, _no_reason())
    body = {"reason": reason} | author_in(form) | ({"again": True} if again else {})
    try:
        await visitor.gateway.ask(DeadLetterHandled, "POST", path_of(name, verb), body=body)
    except GatewayFailure as refused:
        return await _confirmation(visitor, name, verb, refused.status, refused.error, reason)
    return see_other(visitor, path("dead-letters", *name.split("/"), tenant=visitor.tenant, notice=verb))


def known(verb: str) -> str:
    """Return the verb. Raises GatewayFailure 404 for an address that is no page."""
    if verb not in {"redrive", "discard"}:
        action = "Use the links at the top of the page."
        raise GatewayFailure(
            404, ErrorInfo(code="unknown_page", message="The console has no such page.", suggested_action=action)
        )
    return verb


def _no_reason() -> ErrorInfo:
    action = "Write the reason and send the form again."
    return ErrorInfo(code="missing_field", message="This needs a reason: it is recorded.", suggested_action=action)


async def _confirmation(
    visitor: Visitor, name: str, verb: str, status: int = 200, failure: ErrorInfo | None = None, reason: str = ""
) -> Response:
    letter = await read(visitor.gateway, name, contents=False)
    return page(visitor, "dead_letter_order.html", status, letter=letter, verb=verb, failure=failure, reason=reason)
