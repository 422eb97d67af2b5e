"""Records that wait in the topic `timers`, until the timekeeper puts them where they belong."""

from collections.abc import Sequence
from datetime import datetime

from schemas.message import LONGEST_ID, Message
from schemas.timer import TimerSet
from shared.bus.record import Record, content_id, encode
from shared.telemetry.carried import resent


def encode_at(
    message: Message,
    due: datetime | None,
    *,
    id: str,
    source: str,
    prefix: str,
    now: datetime,
    cause: str | None = None,
    follows: Sequence[str] = (),
) -> Record:
    """The record of a message that is to be published when it is due; at once if `due` is None."""
    record = encode(message, id=id, source=source, prefix=prefix, now=now, cause=cause, follows=follows)
    return record if due is None else until(record, due, source=source, prefix=prefix, now=now)


def until(record: Record, due: datetime, *, source: str, prefix: str, now: datetime, id: str | None = None) -> Record:
    """The record that has another one wait. `id` names the timer, else the record's id does; the same replaces it."""
    waiting = TimerSet(
        due=due,
        topic=record.topic.removeprefix(prefix),
        key=record.key,
        headers=record.headers,
        value=record.value,
    )
    name = _name(id or record.id)
    return encode(waiting, id=_TIMER + name, source=source, prefix=prefix, now=now, key=name)


def wake(timer: TimerSet, id: str, prefix: str) -> Record:
    """The record that has waited, as it was: it is sent in the span that had it wait."""
    return Record(
        id=id,
        topic=prefix + timer.topic,
        key=timer.key,
        headers=timer.headers,
        value=timer.value,
        parent=resent(timer.headers.get("traceparent", ""), _TIMER + id),
    )


def _name(wanted: str) -> str:
    """Ids may be as long as ids may be; one that is made of them is made short if need be."""
    return wanted if len(_TIMER + wanted) <= LONGEST_ID else content_id(wanted)


_TIMER = "timer/"
"""Before the name of a timer in its record's id: what waits has an id of its own."""
