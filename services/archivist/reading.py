"""Reading: the rows that one record of the log becomes. A record that cannot be read becomes a row, too."""

import hashlib
from collections.abc import Iterator
from typing import Any

from schemas.approval import Command, DelegateQuestion, HumanDecided
from schemas.log import JournalWritten, RunChanged
from schemas.stop import WorkStopped
from services.archivist import events, journal
from shared.audit import SYSTEM, Draft, Place
from shared.audit.store import Recorded
from shared.bus import Delivery, decode
from shared.bus.record import time_of
from shared.errors import InvalidMessage

STOPS = "stops"

COMMAND, STOP, UNREADABLE = "command", "stop", "unreadable"


def read(record: Any, prefix: str) -> Recorded | None:
    """Return what a record says; None if it says nothing, as a change without events."""
    topic = record.topic.removeprefix(prefix)
    place = Place(topic, record.partition, record.offset)
    drafts = list(_drafts(record, topic, prefix))
    return Recorded(place, drafts) if drafts else None


def _drafts(record: Any, topic: str, prefix: str) -> Iterator[Draft]:
    if record.value is None:
        if topic == STOPS:
            yield _released(record)
        return
    try:
        found = decode(record, prefix)
    except InvalidMessage as wrong:
        yield _unreadable(record, wrong)
        return
    match found.message:
        case RunChanged() as change:
            yield from events.drafts_of(change)
        case JournalWritten() as entry:
            yield from journal.drafts_of(entry, time_of(record), found.envelope.source.rpartition("/")[2])
        case Command():
            yield _command(found)
        case WorkStopped() as stop:
            said: dict[str, Any] = {"by": stop.by, "outcome": "stopped", "contents": {"reason": stop.reason}}
            yield Draft(tenant=_tenant(stop.scope), at=stop.at, kind=STOP, name=stop.scope, **said)


def _command(found: Delivery) -> Draft:
    """Return the row of a command as it was given: whether it had an effect is in the run's changes."""
    command = found.message
    assert isinstance(command, Command), "the caller has looked"
    facts = {"id": found.envelope.id, "source": found.envelope.source}
    if isinstance(command, DelegateQuestion):
        facts["to"] = command.to
    verdict = str(command.reply or command.decision) if isinstance(command, HumanDecided) else ""
    return Draft(
        tenant=command.tenant,
        at=time_of(found.raw),
        kind=COMMAND,
        name=command.wire_type().removeprefix("waggle.").rpartition(".v")[0],
        run_id=command.run_id,
        by=command.by,
        outcome="given",
        verdict=verdict,
        ref=getattr(command, "request_id", ""),
        facts=facts,
        contents=command.model_dump(mode="json", exclude={"run_id", "tenant", "by"}, exclude_defaults=True) or None,
    )


def _released(record: Any) -> Draft:
    scope = (record.key or b"").decode(errors="replace")
    return Draft(tenant=_tenant(scope), at=time_of(record), kind=STOP, name=scope, outcome="released")


def _unreadable(record: Any, wrong: InvalidMessage) -> Draft:
    """Return the row of a record that no version before this one can read: its digest, and the reason."""
    facts = {"code": wrong.code, "sha256": hashlib.sha256(record.value).hexdigest(), "bytes": len(record.value)}
    return Draft(tenant=SYSTEM, at=time_of(record), kind=UNREADABLE, name=wrong.code, facts=facts)


def _tenant(scope: str) -> str:
    kind, _, name = scope.partition(":")
    return name if kind == "tenant" and name else SYSTEM
