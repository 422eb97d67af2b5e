"""Timers: records that wait in a topic of their writer until the timekeeper publishes them to their target.

| waits in | written by | target |
|---|---|---|
| `timers` | orchestrator | topics it consumes or writes: tasks, runs, control, decisions, handoffs |
| `retries.<agent>` | that agent | its own handoffs, `agents.<agent>` |
| `retries.notifier` | notifier | notifications, which only it consumes |

A timer with any other target is rejected: it would let a writer bypass its ACLs through the timekeeper.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from schemas.message import LONGEST_ID, Message
from schemas.timer import TimerSet
from shared.bus.groups import TABLE
from shared.bus.record import Record, content_id, encode, read, read_envelope
from shared.bus.sealing import SEALED
from shared.errors import InvalidMessage
from shared.telemetry.propagation import trace_for_retry

MAY_DELIVER: Mapping[str, tuple[str, ...]] = {
    "timers": ("tasks", "runs", "control", "decisions", "evaluations", "agents.*"),
    "retries.notifier": ("notifications",),
    "retries.*": ("agents.*",),
}
"""Topic that a timer waits in → topics it may name. A `*` on both sides stands for the same name."""


def check_target(timer: TimerSet, table: str) -> None:
    """Raise InvalidMessage unless timers of the table may name the target and the record is valid there."""
    if not may_deliver(table, timer.topic):
        raise InvalidMessage(f"a timer in `{table}` may not go to `{timer.topic}`", code="forbidden_target")
    if SEALED in timer.headers:  # the timekeeper has no keys; the target's consumer validates the payload
        read_envelope(timer.headers)
        return
    read(timer.topic, timer.headers, timer.value.encode())


def may_deliver(table: str, topic: str) -> bool:
    """Return True if timers of the table may name the topic."""
    for source, targets in MAY_DELIVER.items():
        if (found := _match(source, table)) is not None:
            name = found.group(1) if found.groups() else "*"
            return any(_match(target.replace("*", name), topic) for target in targets)
    return False


def _match(pattern: str, topic: str) -> re.Match[str] | None:
    return re.fullmatch(re.escape(pattern).replace(r"\*", "([^.]+)"), topic)


def encode_delayed(
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
    """Encode a message to be published when due; immediately if `due` is None."""
    record = encode(message, id=id, source=source, prefix=prefix, now=now, cause=cause, follows=follows)
    return record if due is None else delay(record, due, table=TABLE, source=source, prefix=prefix, now=now)


def delay(
    record: Record,
    due: datetime,
    *,
    table: str,
    source: str,
    prefix: str,
    now: datetime,
    id: str | None = None,
    parked_by: Sequence[str] = (),
) -> Record:
    """Return the timer that holds a record back in the table of its writer.

    The timer is named `id`, by default the record's id; a timer of the same name replaces it. `parked_by`: scopes of
    the kill switch; the record is released earlier once none of them is stopped.
    """
    waiting = TimerSet(
        due=due,
        topic=record.topic.removeprefix(prefix),
        key=record.key,
        headers=record.headers,
        value=record.value,
        parked_by=list(parked_by),
    )
    name = _name(id or record.id)
    timer = encode(waiting, id=_TIMER + name, source=source, prefix=prefix, now=now, key=name)
    return timer.model_copy(update={"topic": prefix + table})


def cleared(id: str, *, prefix: str) -> Record:
    """Return the record that clears the timer of that name in `timers`.

    It has an empty value, which an outbox can hold; the timekeeper then erases the key. Clearing a timer that has fired
    has no effect.
    """
    name = _name(id)
    return Record(id=f"cleared/{name}", topic=prefix + TABLE, key=name, headers={}, value="")


def fire(timer: TimerSet, id: str, prefix: str) -> Record:
    """Return the original record of a timer, to be sent in the span that set the timer."""
    return Record(
        id=id,
        topic=prefix + timer.topic,
        key=timer.key,
        headers=timer.headers,
        value=timer.value,
        parent=trace_for_retry(timer.headers.get("traceparent", ""), _TIMER + id),
    )


def _name(wanted: str) -> str:
    """Return the timer's name: the requested one, or its digest if the timer's id would become too long."""
    return wanted if len(_TIMER + wanted) <= LONGEST_ID else content_id(wanted)


_TIMER = "timer/"
"""Prefix of a timer's record id, which differs from the id of the waiting record."""
