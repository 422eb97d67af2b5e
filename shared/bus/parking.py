"""Parking: a stopped message leaves its partition and its slot, and waits with the timekeeper until it may go on.

The parked record is a timer that names the scopes it can be stopped by. The timekeeper puts it back, as it was, as soon
as none of them is stopped. It comes back at the latest when its work's time is over, so that it ends with its run.
"""

from datetime import datetime, timedelta
from typing import Any

from schemas.envelope import HEADER
from shared.bus.record import Record, fingerprint, header_map
from shared.bus.timers import until
from shared.errors import Stopped

SHORTEST = timedelta(seconds=60)
"""How long a message is parked at least, unless it may go on before, however little time its work has left."""

LONGEST = timedelta(days=7)
"""How long a message is parked at most that has no deadline before it is looked at again."""


def parked(
    record: Any, stopped: Stopped, message: Any, *, table: str, source: str, prefix: str, now: datetime
) -> Record:
    """Return the timer that parks a received record.

    A redelivery of the record replaces its timer. A record that was put back and is parked again has a timer of its
    own: the timekeeper may still be erasing the one that has fired.
    """
    deadline = getattr(message, "deadline", None) or now + LONGEST
    headers = {name: value.decode(errors="replace") for name, value in header_map(record.headers).items()}
    waiting = Record(
        id=headers[HEADER["id"]],
        topic=record.topic,
        key=(record.key or b"").decode(errors="replace"),
        headers=headers,
        value=(record.value or b"").decode(errors="replace"),
    )
    due = min(max(deadline, now + SHORTEST), now + LONGEST)
    name = f"parked/{fingerprint(record)}/{record.partition}.{record.offset}"
    return until(waiting, due, table=table, source=source, prefix=prefix, now=now, id=name, parked_by=stopped.scopes)
