"""Parking: a stopped message leaves its partition and its slot, and waits with the timekeeper until it is released.

The parked record is a timer that names the kill-switch scopes that apply to it. The timekeeper republishes the original
record once none of them is stopped, and at the latest at its deadline, so that it ends with its run.
"""

from datetime import datetime, timedelta
from typing import Any

from schemas.envelope import HEADER
from shared.bus.record import Record, fingerprint, header_map
from shared.bus.timers import delay
from shared.errors import Stopped

SHORTEST = timedelta(seconds=60)
"""Minimum parking time unless it is released earlier, even if its deadline is closer."""

LONGEST = timedelta(days=7)
"""Maximum parking time of a message without a deadline, after which it is delivered and checked again."""


def parked(
    record: Any, stopped: Stopped, message: Any, *, table: str, source: str, prefix: str, now: datetime
) -> Record:
    """Return the timer that parks a received record.

    A redelivery of the record replaces its timer. A record that was released and is parked a second time gets a timer
    of its own: the timekeeper may still be erasing the fired one.
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
    return delay(waiting, due, table=table, source=source, prefix=prefix, now=now, id=name, parked_by=stopped.scopes)
