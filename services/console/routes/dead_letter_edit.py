"""The edit of a dead letter: its payload as JSON, checked by the gateway before it is published."""

from fastapi import APIRouter
from starlette.responses import Response

from schemas.api.dead_letters import DeadLetterEdited
from schemas.error import ErrorInfo
from services.console.dead_letters import LARGEST_EDIT, escaped, object_in, path_of, read, to_edit
from services.console.forms import author_in
from services.console.gateway import GatewayFailure
from services.console.pages import page, path, see_other
from services.console.routes.dead_letters import Name
from services.console.visitor import Visitor, VisitorDep

one = APIRouter(prefix="/dead-letters/{topic}/{partition}/{offset}")

_LARGEST_FORM = 1_048_576
"""Bytes: 1 MiB, since every character of the payload may be escaped."""


@one.get("/edit")
async def edit_form(visitor: VisitorDep, name: Name) -> Response:
    """The form with the payload as it is."""
    return await _form(visitor, name)


@one.post("/edit")
async def edit(visitor: VisitorDep, name: Name) -> Response:
    """Check the payload and show the changes, or publish it. A refused one stays in the form."""
    form = await visitor.form(_LARGEST_FORM)
    text, reason = form.get("value", ""), form.get("reason", "")
    check = form.get("do") != "redrive"
    try:
        value = object_in(text)
    except ValueError as wrong:
        return await _form(visitor, name, 422, text, reason, _wrong("value", f"The payload: {wrong}."))
    if not reason and not check:
        return await _form(visitor, name, 422, text, reason, _wrong("reason", "An edit needs a reason."))
    body = {"value": value, "reason": reason or "check", "dry_run": check, "again": form.get("again") == "1"}
    body |= ({"by": "console"} if check else {}) | author_in(form)
    try:
        edited = await visitor.gateway.ask(DeadLetterEdited, "POST", path_of(name, "edit"), body=body)
    except GatewayFailure as refused:
        return await _form(visitor, name, refused.status, text, reason, refused.error)
    if check:
        return await _form(visitor, name, 200, text, reason, edited=edited)
    return see_other(visitor, path("dead-letters", *name.split("/"), tenant=visitor.tenant, notice="edit"))


def _wrong(code: str, message: str) -> ErrorInfo:
    action = "Correct it and send the form again; the text is kept."
    return ErrorInfo(code=f"invalid_{code}", message=message, suggested_action=action)


async def _form(
    visitor: Visitor,
    name: str,
    status: int = 200,
    text: str | None = None,
    reason: str = "",
    failure: ErrorInfo | None = None,
    edited: DeadLetterEdited | None = None,
) -> Response:
    """Return the form with the given text, by default the payload of the letter."""
    letter = await read(visitor.gateway, name, contents=True)
    original = letter.payload.text
    small = original is not None and len(original) <= LARGEST_EDIT
    if text is None and original is not None and small and letter.editable:
        text = to_edit(original)
    return page(
        visitor,
        "dead_letter_edit.html",
        status,
        letter=letter,
        text=None if text is None else escaped(text),
        withheld=original is None and letter.payload.base64 is None,
        reason=reason,
        failure=failure,
        edited=edited,
    )
