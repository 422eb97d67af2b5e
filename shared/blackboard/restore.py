"""Writing to an empty or an outdated blackboard what was folded from the logs."""

import json
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from schemas.plan import AgentCard
from shared.blackboard import keys
from shared.blackboard.connect import Client
from shared.blackboard.ledger import Amounts, RunLedger, ledger_fields
from shared.blackboard.lock import Lock
from shared.blackboard.runs import fields_of
from shared.blackboard.scripts import script
from shared.errors import BlackboardLost
from shared.runs import ENDS, Run

LOCK_TTL = 15_000
"""Milliseconds after which a rebuild whose process died is begun again by another one."""

T = TypeVar("T")

_EXPIRE, _SETTLE = script("expire"), script("settle", using=("expire", "unhold"))

_TOLD = """
if string.sub(redis.call('HGET', KEYS[1], ARGV[1]) or '', 1, #ARGV[2] + 1) == ARGV[2] .. ' ' then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
end
"""
"""The journal has what the call has cost: the next attempt need not be told."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run as its log tells it."""

    run: Run
    version: int
    causes: Sequence[str]
    """Marks of the messages that were decided about."""
    events: Sequence[Sequence[str]]
    """Of each change, its events for the live stream."""
    outbox: Mapping[str, str]
    """What has to go out again if the last message is delivered again: id → encoded record."""
    first: int = 1
    """The number of the first of those changes."""
    age: int = 0
    """Milliseconds since its last change."""


class Restorer:
    """The one who rebuilds. Nobody else writes while there is no sentinel.

    Every write raises BlackboardLost instead of being done when the lock is not held in that moment.
    """

    def __init__(self, redis: Client, name: str, ttl: float) -> None:
        self._redis = redis
        self._lock = Lock(redis, keys.REBUILDING, name, LOCK_TTL)
        self.name = name
        self._ttl = int(ttl * 1000)

    async def begin(self) -> bool:
        """Take the lock; False when somebody else has it."""
        return await self._lock.take()

    async def during(self, work: Coroutine[Any, Any, T]) -> T:
        """The work's outcome, with the lock kept all the while. Raises BlackboardLost when it is lost all the same."""
        return await self._lock.during(work)

    async def end(self) -> None:
        """Give the lock back, if it is still held."""
        await self._lock.release()

    def lost(self) -> BlackboardLost:
        """The error that says that the lock was lost."""
        return self._lock.lost()

    async def sentinel_epoch(self) -> int:
        """The epoch that the blackboard itself names; 0 if none."""
        value = await self._redis.get(keys.SENTINEL)
        return int(value.partition(":")[0]) if value else 0

    async def not_behind(self, records: Sequence[RunRecord]) -> list[RunRecord]:
        """Those that are as far in the log as on the blackboard, or further.

        Of one version Redis may have another change than the log: it was decided before a rebuild that did not know it.
        """
        async with self._redis.pipeline(transaction=False) as pipe:
            for record in records:
                pipe.hget(keys.run(record.run.tenant, record.run.id), "version")
            versions = await pipe.execute()
        return [each for each, version in zip(records, versions, strict=True) if each.version >= int(version or 0)]

    async def version(self, tenant: str, run_id: str) -> int:
        """The version of the run on the blackboard; 0 when it has none."""
        return int(await self._redis.hget(keys.run(tenant, run_id), "version") or 0)

    async def behind(self, changes: Sequence[tuple[str, str, int, str]]) -> list[str]:
        """The runs that lack one of these changes: (tenant, run, number, the mark of what was decided about)."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for tenant, run_id, _, mark in changes:
                pipe.hget(keys.run(tenant, run_id), "version")
                pipe.sismember(keys.run(tenant, run_id, "processed"), mark)
            found = await pipe.execute()
        has = zip(changes, found[::2], found[1::2], strict=True)
        return [run for (_, run, number, _), version, known in has if not known or int(version or 0) < number]

    async def journal(self, tenant: str, work_id: str, names: Sequence[str]) -> tuple[int, dict[str, str]]:
        """The fencing epoch of a journal, and of the named entries those that it has, encoded."""
        epoch, *found = await self._redis.hmget(keys.journal(tenant, work_id), "epoch", *names)
        return int(epoch or 0), {name: each for name, each in zip(names, found, strict=True) if each is not None}

    async def write_runs(self, records: Iterable[RunRecord]) -> None:
        """Put runs back, whatever stood in their place."""

        def fill(pipe: Any) -> None:
            for record in records:
                self._write_run(pipe, record)

        await self._write(fill)

    def _write_run(self, pipe: Any, record: RunRecord) -> None:
        run = record.run
        state, processed, outbox, events = parts = [
            keys.run(run.tenant, run.id, part) for part in ("state", "processed", "outbox", "events")
        ]
        pipe.delete(*parts)
        pipe.hset(state, mapping=fields_of(run, record.version) | {"version": str(record.version)})
        pipe.sadd(processed, *record.causes)
        if record.outbox:
            pipe.hset(outbox, mapping=dict(record.outbox))
        for number, change in enumerate(record.events, record.first):
            for place, event in enumerate(change, 1):
                pipe.xadd(events, {"event": event}, id=f"{number}-{place}", maxlen=10_000, approximate=True)
        pipe.zadd(keys.runs(run.tenant), {run.id: run.started.timestamp()})
        pipe.persist(keys.runs(run.tenant))
        if run.state in ENDS:
            for key in parts:
                pipe.pexpire(key, max(1, self._ttl - record.age))

    async def write_journals(self, journals: Mapping[tuple[str, str], Mapping[str, Any]]) -> None:
        """Put journal entries back, whatever stood in their place: (tenant, work) → entries by name.

        The log is written first, so what Redis has under the same name is nothing newer, but perhaps something older.
        """

        def fill(pipe: Any) -> None:
            for (tenant, work_id), entries in journals.items():
                key = keys.journal(tenant, work_id)
                for name, entry in entries.items():
                    pipe.hset(key, name, json.dumps(entry, ensure_ascii=False, separators=(",", ":")))
                run_id = work_id.partition("/")[0]
                pipe.sadd(keys.journals(tenant, run_id), key)
                self._expire(pipe, tenant, run_id, key, keys.journals(tenant, run_id))

        await self._write(fill)

    async def settle(self, costs: Sequence[tuple[str, str, str, str, Amounts]]) -> None:
        """Count what journals say that calls have cost, unless it is counted: (tenant, run, call, attempt, amounts)."""
        generation = await self._redis.get(keys.SENTINEL)

        def fill(pipe: Any) -> None:
            for tenant, run_id, call, attempt, cost in costs:
                parts = keys.ledger(tenant, run_id), keys.tenant_ledger(tenant), keys.SENTINEL, keys.run(tenant, run_id)
                about = generation, self._ttl, call, attempt, len(cost)
                pipe.eval(_SETTLE.text, len(parts), *parts, *about, *Amounts._fields, *cost)
                pipe.eval(_TOLD, 1, parts[0], f"call:{call}", f"spent {attempt}")

        await self._write(fill)

    async def write_ledgers(self, ledgers: Mapping[tuple[str, str], RunLedger]) -> None:
        """Put back what runs have spent, whatever stood in its place: (tenant, run) → ledger."""

        def fill(pipe: Any) -> None:
            for (tenant, run_id), ledger in ledgers.items():
                key = keys.ledger(tenant, run_id)
                pipe.delete(key)
                pipe.hset(key, mapping=ledger_fields(ledger))
                self._expire(pipe, tenant, run_id, key)

        await self._write(fill)

    def _expire(self, pipe: Any, tenant: str, run_id: str, *parts: str) -> None:
        for key in parts:
            pipe.eval(_EXPIRE.text, 2, key, keys.run(tenant, run_id), self._ttl)

    async def write_tenants(self, spent: Mapping[str, Amounts]) -> None:
        """Put back what tenants have spent today."""
        today = str(int(time.time()) // 86_400)

        def fill(pipe: Any) -> None:
            for tenant, amounts in spent.items():
                key = keys.tenant_ledger(tenant)
                pipe.delete(key)
                pipe.hset(key, mapping=ledger_fields(RunLedger({}, amounts)) | {"day": today})

        await self._write(fill)

    async def write_cards(self, cards: Iterable[AgentCard]) -> None:
        """Make agents known again; those that do not run are forgotten after a while."""
        mapping = {card.name: card.model_dump_json() for card in cards}
        now, _ = await self._redis.time()

        def fill(pipe: Any) -> None:
            pipe.hset(keys.AGENTS, mapping=mapping)
            pipe.zadd(keys.AGENTS_SEEN, dict.fromkeys(mapping, now), nx=True)

        if mapping:
            await self._write(fill)

    async def _write(self, fill: Callable[[Any], object]) -> None:
        """Do what `fill` puts into the pipeline, all or nothing, if nobody else has got the lock meanwhile."""

        async def act(pipe: Any) -> None:
            if await pipe.get(keys.REBUILDING) != self.name:
                raise self.lost()
            pipe.multi()
            fill(pipe)

        await self._redis.transaction(act, keys.REBUILDING)
