"""What happens to a run, live: a stream that people follow and that can be taken up where it was left."""

import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from schemas.event import RunEvent
from shared.blackboard import keys
from shared.blackboard.connect import Client
from shared.blackboard.scripts import Scripts, script

_NOTE = script("note")


class LiveEvent(NamedTuple):
    """One event of the stream."""

    id: str
    """Where it stands; give it to `follow` to go on after it."""
    type: str
    data: dict[str, Any]

    @property
    def json(self) -> str:
        """Its data as one line of JSON."""
        return json.dumps(self.data, ensure_ascii=False)


async def note(scripts: Scripts, event: RunEvent) -> None:
    """Show something that is not part of the run's state, such as what an agent is doing right now."""
    entry = json.dumps({"type": event.wire_type(), "data": event.model_dump(mode="json")})
    await scripts.run(_NOTE, [keys.run(event.tenant, event.run_id, "events")], [entry])


async def told(redis: Client, tenant: str, run_id: str) -> list[LiveEvent]:
    """The run's events so far."""
    return [_live(entry) for entry in await redis.xrange(keys.run(tenant, run_id, "events"))]


async def follow(redis: Client, tenant: str, run_id: str, after: str = "0") -> AsyncIterator[LiveEvent | None]:
    """The run's events after the given id, for ever; None whenever a few seconds pass without one."""
    key = keys.run(tenant, run_id, "events")
    while True:
        found = await redis.xread({key: after}, block=5_000, count=100)
        if not found:
            yield None
        for event in map(_live, _entries(found)):
            after = event.id
            yield event


def _live(entry: tuple[str, dict[str, str]]) -> LiveEvent:
    event = json.loads(entry[1]["event"])
    return LiveEvent(entry[0], event["type"], event["data"])


def _entries(found: Any) -> list[tuple[str, dict[str, str]]]:
    """The entries of the one stream that was read, whichever shape the protocol version gives them."""
    streams = found.values() if isinstance(found, dict) else [entries for _, entries in found]
    flat: list[tuple[str, dict[str, str]]] = []
    for entries in streams:
        flat.extend(entries[0] if entries and isinstance(entries[0], list) else entries)
    return flat
