"""What is answered about dead letters."""

import asyncio
import base64
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from pydantic import Field, JsonValue

from schemas.dead import DeadLetterHandled
from schemas.error import ErrorInfo
from schemas.message import Part
from services.gateway.errors import Refused, unavailable
from shared.blackboard import Client, exclusive, keys
from shared.bus.dead import LOCKED_FOR, DeadLetter, DeadLetterLine, LetterLock, line_of
from shared.errors import Conflict, RetryableError, TerminalError, WaggleError

TIMEOUT = 25.0
"""Seconds Kafka has to say what dead letters there are."""

STATUS = {"unknown_dead_letter": 404, "unknown_topic": 404, "not_recordable": 503}
"""Of a refusal by its code; 409 otherwise."""

ACTION = {
    "unknown_dead_letter": "GET /v1/dead-letters?state=any lists those there are",
    "already_handled": "`again` with a `reason` redrives it all the same",
    "busy": "look at it in a moment",
    "not_redrivable": "look at its payload; publish it anew by hand, or discard it",
    "not_recordable": "create the declared topics, then send the request again",
}
"""What to do about a refusal, by its code."""


_TOKEN = re.compile(rb"""(\\*"token\\*"\s*:\s*\\*")[^"\\]+""")
"""A token in a payload, or in a payload inside another one: it authorises an answer, so nobody is shown it."""


class Bytes(Part):
    """Bytes as text where they are UTF-8, else in base64."""

    text: str | None = None
    base64: str | None = None


class Header(Bytes):
    """A header of the original record."""

    name: str


class DeadLetterView(DeadLetterLine):
    """All that is known of a dead letter."""

    partition: str = Field(description="The partition it was in.")
    offset: str = Field(description="The offset it had there.")
    service: str = Field(description="The service that gave it up.")
    version: str = Field(description="The version of that service.")
    trace_id: str | None
    causes: JsonValue = Field(description="The failures before the last one, if they were written down.")
    redriven_by: str | None = Field(description="Who put back the dead letter that it was before.")
    key: Bytes | None
    headers: list[Header] = Field(description="The original ones.")
    payload: Bytes


class Selection(Part):
    """The first line of the answer about many: how many there are to deal with, the oldest first."""

    of: int
    complete: bool = Field(description="Whether no more fit; if not, ask again when these are done.")
    not_looked_at: int


class Progress(Part):
    """What became of one of many."""

    n: int
    of: int
    name: str
    outcome: Literal["redriven", "discarded", "chosen", "skipped", "failed"] = Field(
        description="`chosen`: with `dry_run`; `skipped`: somebody else deals or dealt with it."
    )
    error: ErrorInfo | None = None


def view_of_letter(letter: DeadLetter, handled: DeadLetterHandled | None) -> DeadLetterView:
    """The letter with everything in it."""
    note = letter.notes.get
    return DeadLetterView(
        **dict(line_of(letter, handled)),
        partition=note("dlt-partition", ""),
        offset=note("dlt-offset", ""),
        service=note("dlt-service", ""),
        version=note("dlt-version", ""),
        trace_id=letter.trace_id,
        causes=letter.causes,
        redriven_by=letter.header("redriven-by"),
        key=None if letter.key is None else _readable(letter.key),
        headers=[Header(name=name, **dict(_readable(value))) for name, value in letter.headers],
        payload=_readable(_TOKEN.sub(rb"\1***", letter.value)),
    )


def _readable(value: bytes) -> Bytes:
    try:
        return Bytes(text=value.decode())
    except UnicodeDecodeError:
        return Bytes(base64=base64.b64encode(value).decode())


@asynccontextmanager
async def refusing() -> AsyncIterator[None]:
    """Have what cannot be done with dead letters answered as what it is: 404, 409 or 503."""
    try:
        async with asyncio.timeout(TIMEOUT):
            yield
    except (Conflict, TerminalError, RetryableError) as why:
        raise refused(why) from why
    except TimeoutError as away:
        message = "Kafka did not answer in time; what was asked for may be done or not"
        action = "look at the dead letter; doing it again does nothing twice"
        raise unavailable("outcome_unknown", message, action) from away


def refused(error: WaggleError) -> Refused:
    """What could not be done, as an answer."""
    retryable = isinstance(error, RetryableError)
    action = ACTION.get(error.code)
    return Refused(STATUS.get(error.code, 409), error.code, str(error), retryable=retryable, action=action)


def letter_lock(redis: Client) -> LetterLock:
    """Return the lock on dead letters that all replicas of the gateway share."""
    return lambda name: exclusive(redis, keys.dead_letter(name), LOCKED_FOR, name)
