"""Forms: read with bounds, and only with the visitor's token."""

import asyncio
from collections.abc import Mapping
from urllib.parse import parse_qsl

from fastapi import Request

from schemas.error import ErrorInfo
from services.console.sessions import is_form_token

LARGEST_FORM = 131_072
"""Bytes: 128 KiB; the longest text that the gateway takes has 20,000 characters, escaped up to twelve bytes each."""

MOST_FIELDS = 64
READ_WITHIN = 20.0
"""Seconds for the whole form."""

TOKEN = "form_token"  # noqa: S105 -- the field's name


class FormRefused(Exception):
    """A form that is not acted on."""

    def __init__(self, status: int, error: ErrorInfo) -> None:
        super().__init__(error.message)
        self.status = status
        self.error = error


def author_in(form: Mapping[str, str]) -> dict[str, str]:
    """Return the author that a form names, as a part of an order; empty if it names none."""
    return {"by": form["by"]} if form.get("by") else {}


async def form_of(request: Request, secret: str, largest: int = LARGEST_FORM) -> Mapping[str, str]:
    """Return the fields of the request's form, trimmed. Raises FormRefused if it is not this visitor's."""
    body = await _body(request, largest)
    try:
        given = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict"))
    except ValueError:
        raise refused_form(400, "invalid_form", "the form cannot be read") from None
    if not is_form_token(secret, given.get(TOKEN, "")):
        raise refused_form(403, "wrong_form_token", "this form belongs to another session, or to none")
    return {name: value.strip().replace("\r\n", "\n") for name, value in given.items()}


async def _body(request: Request, largest: int) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(READ_WITHIN):
            async for chunk in request.stream():
                body += chunk
                if len(body) > largest:
                    raise refused_form(413, "too_large", f"the form has more than {largest:,} bytes")
    except TimeoutError:
        raise refused_form(408, "too_slow", "the form did not arrive in time") from None
    return bytes(body)


def refused_form(status: int, code: str, message: str) -> FormRefused:
    """Return the refusal of a form, which is opened again and sent from there."""
    action = "open the page again and send the form from there"
    return FormRefused(status, ErrorInfo(code=code, message=message, suggested_action=action))
