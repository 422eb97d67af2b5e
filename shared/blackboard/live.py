"""Live event stream of a run, resumable after any event id."""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from schemas.event import RunEvent
from shared.blackboard import keys
from shared.blackboard.connect import Client
from shared.blackboard.scripts import Scripts, script

_APPEND = script("append_event")


@dataclass(frozen=True)
class LiveEvent:
    """One event of the stream."""

    id: str
    """Position in the stream; following resumes after it."""
    type: str
    data: dict[str, Any]

    @cached_property
    def json(self) -> str:
        """The data as one line of JSON, serialized once for all followers."""
        return json.dumps(self.data, ensure_ascii=False)


async def append_live_event(scripts: Scripts, event: RunEvent) -> None:
    """Append an event that is not part of the run's state, such as an agent's progress."""
    entry = json.dumps({"type": event.wire_type(), "data": event.model_dump(mode="json")})
    await scripts.run(_APPEND, [keys.run(event.tenant, event.run_id, part) for part in ("events", "state")], [entry])


@dataclass(frozen=True, slots=True)
class EventPage:
    """Consecutive events of a run, oldest first."""

    events: list[LiveEvent]
    older: str | None
    """Id before which earlier events are kept; None if there are none."""


async def read_event_page(redis: Client, tenant: str, run_id: str, limit: int, before: str | None = None) -> EventPage:
    """Return the run's newest events, at most `limit`; with `before`, the newest of those before that id."""
    key = keys.run(tenant, run_id, "events")
    found = await redis.xrevrange(key, f"({before}" if before else "+", "-", count=limit + 1)
    events = [live_event(entry) for entry in reversed(found[:limit])]
    return EventPage(events, events[0].id if len(found) > limit else None)


async def read_live_events(redis: Client, tenant: str, run_id: str) -> list[LiveEvent]:
    """Return the run's events so far."""
    return [live_event(entry) for entry in await redis.xrange(keys.run(tenant, run_id, "events"))]


def live_event(entry: tuple[str, dict[str, str]]) -> LiveEvent:
    """Parse an entry of the stream."""
    event = json.loads(entry[1]["event"])
    return LiveEvent(entry[0], event["type"], event["data"])
