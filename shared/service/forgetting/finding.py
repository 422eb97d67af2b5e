"""Runs that an order selects, and the files they name, found in the logs of Kafka."""

from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import Any

from schemas.board import ClaimRecorded
from schemas.event import RunStarted
from schemas.log import JournalWritten, RunChanged
from schemas.memory_log import ForgettingOrdered, hidden, hidden_subject
from schemas.task import Task
from shared.blackboard.erasing import BLOB
from shared.bus import decode
from shared.bus.admin import stream
from shared.config import Settings
from shared.errors import InvalidMessage

_STARTED = RunStarted.wire_type().encode()
_CLAIMED = b'"resource"'


async def runs_of(settings: Settings, order: ForgettingOrdered) -> set[str]:
    """Return the runs that the order selects, started at or before its time.

    Those about a subject are named by their context, or had it claimed. Raises KafkaError.
    """
    found = {order.run} if order.run else set[str]()
    if order.run and not (order.subject or order.session):
        return found
    async for records in stream(settings, "runs.log"):
        for record in records:
            if _STARTED in (record.value or b"") and _selects(order, _message(record, settings)):
                found.add((record.key or b"").decode(errors="replace"))
    if order.subject:
        found |= await _claimants(settings, order.tenant, order.subject)
    return found


async def files_in_logs(settings: Settings, runs: Collection[str]) -> set[str]:
    """Return the references to files in the logs of these runs, as far as they can be read. Raises KafkaError."""
    named, found = {each.encode() for each in runs}, set[str]()
    for topic in ("runs.log", "journal"):
        async for records in stream(settings, topic, whole=False):
            for record in records:
                if record.key in named:
                    found.update(BLOB.findall((record.value or b"").decode(errors="replace")))
    return found


async def _claimants(settings: Settings, tenant: str, subject: str) -> set[str]:
    """Return the runs that had claimed a resource with the name of this digest."""
    found = set[str]()
    async for records in stream(settings, "journal"):
        for record in records:
            entry = _message(record, settings) if _CLAIMED in (record.value or b"") else None
            if isinstance(entry, JournalWritten) and entry.tenant == tenant and _claims(entry, subject):
                found.add(entry.run_id)
    return found


def _claims(entry: JournalWritten, subject: str) -> bool:
    with suppress(ValueError):
        return hidden_subject(ClaimRecorded.model_validate(entry.entry, extra="ignore").claim.resource) == subject
    return False


def _message(record: Any, settings: Settings) -> object:
    try:
        return decode(record, settings.topic_prefix).message
    except InvalidMessage:
        return None


def _selects(order: ForgettingOrdered, change: object) -> bool:
    if not isinstance(change, RunChanged) or change.tenant != order.tenant or change.at > order.at:
        return False
    if order.everything:
        return True
    return any(_meets(order, task) for task in _tasks(change))


def _tasks(change: RunChanged) -> Iterable[Task]:
    for event in change.events:
        if event.type == RunStarted.wire_type():
            yield RunStarted.model_validate(event.data, extra="ignore").task


def _meets(order: ForgettingOrdered, task: Task) -> bool:
    session = order.session is None or hidden(task.session or "") == order.session
    subject = order.subject is None or order.subject in map(
        hidden_subject, _texts(task.context.model_dump(mode="json"))
    )
    return session and subject


def _texts(value: object) -> Iterable[str]:
    """Yield every text in a JSON value that is one by itself."""
    match value:
        case str():
            yield value
        case dict():
            for each in value.values():
                yield from _texts(each)
        case list():
            for each in value:
                yield from _texts(each)
