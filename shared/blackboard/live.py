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


async def read_live_events(redis: Client, tenant: str, run_id: str) -> list[LiveEvent]:
    """Return the run's events so far."""
    return [live_event(entry) for entry in await redis.xrange(keys.run(tenant, run_id, "events"))]


def live_event(entry: tuple[str, dict[str, str]]) -> LiveEvent:
    """Parse an entry of the stream."""
    event = json.loads(entry[1]["event"])
    return LiveEvent(entry[0], event["type"], event["data"])
