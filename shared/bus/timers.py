"""Records that wait in a topic of their writer's own, until the timekeeper puts them where they belong.

| waits in | written by | goes to |
|---|---|---|
| `timers` | orchestrator | what it consumes or writes: tasks, runs, control, decisions, handoffs |
| `retries.<agent>` | that agent | its own handoffs, `agents.<agent>` |

A timer that names any other topic is refused: else a writer could have the timekeeper write what it may not.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from schemas.message import LONGEST_ID, Message
from schemas.timer import TimerSet
from shared.bus.groups import TABLE
from shared.bus.record import Record, content_id, encode, read
from shared.errors import InvalidMessage
from shared.telemetry.propagation import trace_for_retry

MAY_DELIVER: Mapping[str, tuple[str, ...]] = {
    "timers": ("tasks", "runs", "control", "decisions", "agents.*"),
    "retries.*": ("agents.*",),
}
"""Topic that a timer waits in → topics it may name. A `*` on both sides stands for the same name."""


def check_target(timer: TimerSet, table: str) -> None:
    """Raise InvalidMessage unless a timer that waits in the table may be delivered, and can be read where it goes."""
    if not may_deliver(table, timer.topic):
        raise InvalidMessage(f"a timer in `{table}` may not go to `{timer.topic}`", code="forbidden_target")
    read(timer.topic, timer.headers, timer.value.encode())


def may_deliver(table: str, topic: str) -> bool:
    """Return true if timers of the table may name the topic."""
    for source, targets in MAY_DELIVER.items():
        if (found := _match(source, table)) is not None:
            name = found.group(1) if found.groups() else "*"
            return any(_match(target.replace("*", name), topic) for target in targets)
    return False


def _match(pattern: str, topic: str) -> re.Match[str] | None:
    return re.fullmatch(re.escape(pattern).replace(r"\*", "([^.]+)"), topic)


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
    return record if due is None else until(record, due, table=TABLE, source=source, prefix=prefix, now=now)


def until(
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
    """Return the record that has another one wait in the table of its writer.

    `id` names the timer, else the record's id does; the same replaces it. `parked_by`: scopes of the kill switch; the
    record may go earlier, as soon as none of them is stopped.
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

    It has an empty value, as an outbox can hold it; the timekeeper erases the key. One that nothing waits under any
    more is cleared in vain.
    """
    name = _name(id)
    return Record(id=f"cleared/{name}", topic=prefix + TABLE, key=name, headers={}, value="")


def wake(timer: TimerSet, id: str, prefix: str) -> Record:
    """The record that has waited, as it was: it is sent in the span that had it wait."""
    return Record(
        id=id,
        topic=prefix + timer.topic,
        key=timer.key,
        headers=timer.headers,
        value=timer.value,
        parent=trace_for_retry(timer.headers.get("traceparent", ""), _TIMER + id),
    )


def _name(wanted: str) -> str:
    """Ids may be as long as ids may be; one that is made of them is made short if need be."""
    return wanted if len(_TIMER + wanted) <= LONGEST_ID else content_id(wanted)


_TIMER = "timer/"
"""Before the name of a timer in its record's id: what waits has an id of its own."""
