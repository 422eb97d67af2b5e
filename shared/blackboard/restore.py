"""Writing to an empty or an outdated blackboard what was folded from the logs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from schemas.plan import AgentCard
from shared.blackboard import keys
from shared.blackboard.connect import Client
from shared.blackboard.journal import OUTLIVES
from shared.blackboard.runs import fields_of
from shared.runs import Run

LOCK_TTL = 15_000
"""Milliseconds after which a rebuild whose process died is begun again by another one."""


_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run as its log tells it."""

    run: Run
    version: int
    causes: Sequence[str]
    """The messages that were decided about."""
    events: Sequence[Sequence[str]]
    """Of each change, its events for the live stream."""
    outbox: Mapping[str, str]
    """What has to go out again if the last message is delivered again: id → encoded record."""


class Restorer:
    """The one who rebuilds. Nobody else writes while there is no sentinel."""

    def __init__(self, redis: Client, name: str, ttl: float) -> None:
        self._redis = redis
        self.name = name
        self._ttl = int(ttl * 1000)

    async def begin(self) -> bool:
        """Take the lock; False when somebody else has it."""
        return bool(await self._redis.set(keys.REBUILDING, self.name, nx=True, px=LOCK_TTL))

    async def still(self) -> bool:
        """Keep the lock for longer; False when it was lost."""
        if await self._redis.get(keys.REBUILDING) != self.name:
            return False
        return bool(await self._redis.pexpire(keys.REBUILDING, LOCK_TTL))

    async def end(self) -> None:
        """Give the lock back, if it is still held."""
        await self._redis.eval(_RELEASE, 1, keys.REBUILDING, self.name)

    async def sentinel_epoch(self) -> int:
        """The epoch that the blackboard itself names; 0 if none."""
        value = await self._redis.get(keys.SENTINEL)
        return int(value.partition(":")[0]) if value else 0

    async def newer(self, records: Sequence[RunRecord]) -> list[RunRecord]:
        """Those that are further in the log than on the blackboard."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for record in records:
                pipe.hget(keys.run(record.run.tenant, record.run.id), "version")
            versions = await pipe.execute()
        return [each for each, version in zip(records, versions, strict=True) if each.version > int(version or 0)]

    async def write_runs(self, records: Iterable[RunRecord]) -> None:
        """Put runs back, whatever stood in their place."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for record in records:
                self._write_run(pipe, record)
            await pipe.execute()

    def _write_run(self, pipe: Any, record: RunRecord) -> None:
        run = record.run
        state, processed, outbox, events = parts = [
            keys.run(run.tenant, run.id, part) for part in ("state", "processed", "outbox", "events")
        ]
        pipe.delete(*parts)
        pipe.hset(state, mapping=fields_of(run) | {"version": str(record.version)})
        pipe.sadd(processed, *record.causes)
        if record.outbox:
            pipe.hset(outbox, mapping=dict(record.outbox))
        for number, change in enumerate(record.events, 1):
            for place, event in enumerate(change, 1):
                pipe.xadd(events, {"event": event}, id=f"{number}-{place}", maxlen=10_000, approximate=True)
        pipe.zadd(keys.runs(run.tenant), {run.id: run.started.timestamp()})
        for part in parts:
            pipe.pexpire(part, self._ttl)

    async def write_journals(self, journals: Mapping[tuple[str, str], Mapping[str, Any]]) -> None:
        """Put back journal entries that are missing: (tenant, work) → entries by name."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for (tenant, work_id), entries in journals.items():
                key = keys.journal(tenant, work_id)
                for name, entry in entries.items():
                    pipe.hsetnx(key, name, json.dumps(entry, ensure_ascii=False, separators=(",", ":")))
                pipe.pexpire(key, OUTLIVES * self._ttl)
            await pipe.execute()

    async def write_cards(self, cards: Iterable[AgentCard]) -> None:
        """Make agents known again."""
        mapping = {card.name: card.model_dump_json() for card in cards}
        if mapping:
            await self._redis.hset(keys.AGENTS, mapping=mapping)
