"""What happens to a run, live: a stream that people follow and that can be taken up where it was left."""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from schemas.event import RunEvent
from shared.blackboard import keys
from shared.blackboard.connect import Client
from shared.blackboard.scripts import Scripts, script

_NOTE = script("note")


@dataclass(frozen=True)
class LiveEvent:
    """One event of the stream."""

    id: str
    """Where it stands; following resumes after it."""
    type: str
    data: dict[str, Any]

    @cached_property
    def json(self) -> str:
        """Its data as one line of JSON: written once for all who follow."""
        return json.dumps(self.data, ensure_ascii=False)


async def note(scripts: Scripts, event: RunEvent) -> None:
    """Show something that is not part of the run's state, such as what an agent is doing right now."""
    entry = json.dumps({"type": event.wire_type(), "data": event.model_dump(mode="json")})
    await scripts.run(_NOTE, [keys.run(event.tenant, event.run_id, part) for part in ("events", "state")], [entry])


async def told(redis: Client, tenant: str, run_id: str) -> list[LiveEvent]:
    """The run's events so far."""
    return [live_event(entry) for entry in await redis.xrange(keys.run(tenant, run_id, "events"))]


def live_event(entry: tuple[str, dict[str, str]]) -> LiveEvent:
    """Return an entry of the stream as an event."""
    event = json.loads(entry[1]["event"])
    return LiveEvent(entry[0], event["type"], event["data"])
