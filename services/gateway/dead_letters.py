"""Answers about dead letters, and the status of what cannot be done with them."""

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from schemas.api.dead_letters import Bytes, DeadLetterSummary, DeadLetterView, Header
from schemas.dead import DeadLetterHandled
from schemas.registry import TOPICS
from schemas.task import Task
from services.gateway.dependencies import DEFAULT_TENANT
from services.gateway.errors import Refused, unavailable
from shared.blackboard import Client, costs_of, exclusive, keys
from shared.bus.dead import LOCKED_FOR, DeadLetter, LetterLock, editable_fields, summary_of
from shared.errors import Conflict, RetryableError, TerminalError, WaggleError
from shared.runs import run_id_for

TIMEOUT = 25.0
"""Seconds for Kafka to list or handle dead letters."""

STATUS = {
    "unknown_dead_letter": 404,
    "unknown_topic": 404,
    "not_recordable": 503,
    "invalid_edit": 422,
    "protected_field": 422,
    "unchanged": 422,
}
"""HTTP status by error code; 409 for all others."""

ACTION = {
    "unknown_dead_letter": "GET /v1/dead-letters?state=any lists all dead letters",
    "unknown_topic": "name one of these topics",
    "already_handled": "to redrive it once more, send `again` with a `reason`",
    "busy": "GET the dead letter in a moment",
    "not_redrivable": "inspect its payload; publish a corrected message by hand, or discard it",
    "too_large": "raise the topic's `max.message.bytes`, or discard it",
    "not_recordable": "create the declared topics, then repeat the request",
    "not_editable": "redrive it as it is, discard it, or have its sender send a corrected message",
    "invalid_edit": "correct the named field and send the payload again",
    "protected_field": "leave that field as it is; for other permissions have the sender submit a new task",
    "unchanged": "change the payload, or redrive the dead letter as it is",
}
"""Suggested action by error code."""


_SLUG = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_TOKEN = re.compile(rb"""(\\*"(?:token|secret)\\*"\s*:\s*\\*")[^"\\]+""")
"""A token in a payload, or the secret it is derived from, also nested. It authorises answers: it is never shown."""


def view_of_letter(letter: DeadLetter, handled: DeadLetterHandled | None, *, contents: bool) -> DeadLetterView:
    """Return the letter with its original record; without `contents`, its payload and the edits of it are left out."""
    handled = handled if contents else without_values(handled)
    note = letter.notes.get
    return DeadLetterView(
        **dict(summary_of(letter, handled)),
        partition=note("dlt-partition", ""),
        offset=note("dlt-offset", ""),
        service=note("dlt-service", ""),
        version=note("dlt-version", ""),
        causes=letter.causes,
        redriven_by=letter.header("redriven-by"),
        key=None if letter.key is None else _readable(letter.key),
        headers=[Header(name=name, **dict(_readable(value))) for name, value in letter.headers],
        payload=_readable(masked(letter.value)) if contents else Bytes(),
        **_editing(letter),
    )


def tenant_named(letter: DeadLetterSummary) -> str:
    """Return the tenant that the letter names; the default one if it names none, or no valid one."""
    return letter.tenant if letter.tenant and _SLUG.fullmatch(letter.tenant) else DEFAULT_TENANT


def without_values(handled: DeadLetterHandled | None) -> DeadLetterHandled | None:
    """Return the record of an action without the values of an edit."""
    if handled is None:
        return None
    edits = [each.model_copy(update={"before": None, "after": None}) for each in handled.edits]
    return handled.model_copy(update={"edits": edits})


def _editing(letter: DeadLetter) -> dict[str, Any]:
    try:
        return {"editable": list(editable_fields(letter))}
    except TerminalError as why:
        return {"not_editable": str(why)}


async def with_costs(redis: Client, letters: Sequence[DeadLetterSummary]) -> list[DeadLetterSummary]:
    """Return the letters with the costs of their runs, where the blackboard has the run."""
    costs = await costs_of(redis, {(tenant_named(each), each.run_id) for each in letters if each.run_id})
    return [
        each.model_copy(update={"cost_usd": costs.get((tenant_named(each), each.run_id or ""))}) for each in letters
    ]


async def with_run(redis: Client, letter: DeadLetter, view: DeadLetterView) -> DeadLetterView:
    """Return the view with the cost of its run.

    A task that was published without the gateway names no run: it has the one that its intake made, if there is one.
    """
    run_id = view.run_id or _run_of_task(letter, tenant_named(view))
    [known] = await with_costs(redis, [view.model_copy(update={"run_id": run_id})])
    found = view.run_id if known.cost_usd is None else run_id
    return view.model_copy(update={"run_id": found, "cost_usd": known.cost_usd})


def _run_of_task(letter: DeadLetter, tenant: str) -> str | None:
    task_id = letter.header("ce_id")
    if letter.origin != TOPICS[Task] or not task_id:
        return None
    return run_id_for(tenant, letter.idempotency_key, letter.header("ce_source") or "", task_id)


def masked(payload: bytes) -> bytes:
    """Return a payload with its tokens hidden."""
    return _TOKEN.sub(rb"\1***", payload)


def _readable(value: bytes) -> Bytes:
    try:
        return Bytes(text=value.decode())
    except UnicodeDecodeError:
        return Bytes(base64=base64.b64encode(value).decode())


@asynccontextmanager
async def refusals_answered() -> AsyncIterator[None]:
    """Turn errors about dead letters into answers: 404, 409 or 503."""
    try:
        async with asyncio.timeout(TIMEOUT):
            yield
    except (Conflict, TerminalError, RetryableError) as why:
        raise refused(why) from why
    except TimeoutError as late:
        message = "Kafka did not answer in time; the request may or may not have taken effect"
        action = "GET the dead letter; repeating the request has no second effect"
        raise unavailable("outcome_unknown", message, action) from late


def refused(error: WaggleError) -> Refused:
    """Return the answer for an error about a dead letter."""
    retryable = isinstance(error, RetryableError)
    action = ACTION.get(error.code)
    return Refused(STATUS.get(error.code, 409), error.code, str(error), retryable=retryable, action=action)


def letter_lock(redis: Client) -> LetterLock:
    """Return the lock on dead letters that all replicas of the gateway share."""
    return lambda name: exclusive(redis, keys.dead_letter(name), LOCKED_FOR, name)
