"""Writes to an empty or outdated blackboard, with the state folded from the logs."""

import json
import time
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from schemas.board import BoardPosted, ClaimRecorded
from schemas.plan import AgentCard
from shared.blackboard import keys
from shared.blackboard.board import board_arguments
from shared.blackboard.claims import CLAIMS_KEPT, stored
from shared.blackboard.connect import Client
from shared.blackboard.conversations import turn_arguments, turn_keys
from shared.blackboard.costs import COSTS_KEPT, DayCounters
from shared.blackboard.entries import entry_of
from shared.blackboard.ledger import Amounts, RunLedger, ledger_fields
from shared.blackboard.lock import Lock
from shared.blackboard.runs import fields_of
from shared.blackboard.scripts import script
from shared.errors import BlackboardLost
from shared.runs import ENDS, Run

LOCK_TTL = 15_000
"""Milliseconds after which another process may restart a rebuild whose process died."""

T = TypeVar("T")

_EXPIRE, _SETTLE, _INDEX = script("expire"), script("settle", using=("expire", "unhold")), script("index")
_SPEND, _PUT, _PUT_CLAIM, _TURN = script("spend"), script("put"), script("put_claim"), script("turn")

_MARK_REPORTED = """
if string.sub(redis.call('HGET', KEYS[1], ARGV[1]) or '', 1, #ARGV[2] + 1) == ARGV[2] .. ' ' then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
end
"""
"""Drops the cost kept with a call: the journal has it, so the ledger need not report it to the next attempt."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run as folded from its log."""

    run: Run
    version: int
    causes: Sequence[str]
    """Marks of the messages that were processed."""
    events: Sequence[Sequence[str]]
    """Live events of each change."""
    outbox: Mapping[str, str]
    """Records to publish again if the last message is redelivered: id → encoded record."""
    first: int = 1
    """Number of the first of those changes."""
    age: int = 0
    """Milliseconds since the last change."""


class Restorer:
    """The process that rebuilds. No other process writes while there is no sentinel.

    A write raises BlackboardLost, and changes nothing, if the lock is not held at that moment.
    """

    def __init__(self, redis: Client, name: str, ttl: float) -> None:
        self._redis = redis
        self._lock = Lock(redis, keys.REBUILDING, name, LOCK_TTL)
        self.name = name
        self._ttl = int(ttl * 1000)

    async def begin(self) -> bool:
        """Acquire the lock; return False if another process holds it."""
        return await self._lock.take()

    async def during(self, work: Coroutine[Any, Any, T]) -> T:
        """Return the outcome of `work`, renewing the lock meanwhile. Raises BlackboardLost as soon as it is lost."""
        return await self._lock.during(work)

    async def end(self) -> None:
        """Release the lock, if it is still held."""
        await self._lock.release()

    def lost_error(self) -> BlackboardLost:
        """Return the error for a lost lock."""
        return self._lock.lost_error()

    async def sentinel_epoch(self) -> int:
        """Return the epoch stored in the sentinel; 0 if there is none."""
        value = await self._redis.get(keys.SENTINEL)
        return int(value.partition(":")[0]) if value else 0

    async def drop_outdated(self, records: Sequence[RunRecord]) -> list[RunRecord]:
        """Return the records whose version in the log is at least the version on the blackboard.

        At equal versions the log wins: the change in Redis may stem from before a rebuild that did not know it.
        """
        async with self._redis.pipeline(transaction=False) as pipe:
            for record in records:
                pipe.hget(keys.run(record.run.tenant, record.run.id), "version")
            versions = await pipe.execute()
        return [each for each, version in zip(records, versions, strict=True) if each.version >= int(version or 0)]

    async def version(self, tenant: str, run_id: str) -> int:
        """Return the run's version on the blackboard; 0 if there is no such run."""
        return int(await self._redis.hget(keys.run(tenant, run_id), "version") or 0)

    async def lacking(self, changes: Sequence[tuple[str, str, int, str]]) -> list[str]:
        """Return the runs that lack one of these changes: (tenant, run, number, mark of the message)."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for tenant, run_id, _, mark in changes:
                pipe.hget(keys.run(tenant, run_id), "version")
                pipe.sismember(keys.run(tenant, run_id, "processed"), mark)
            found = await pipe.execute()
        has = zip(changes, found[::2], found[1::2], strict=True)
        return [run for (_, run, number, _), version, known in has if not known or int(version or 0) < number]

    async def journal(self, tenant: str, work_id: str, names: Sequence[str]) -> tuple[int, dict[str, str]]:
        """Return the fencing epoch of a journal, and those of the named entries that it has, encoded."""
        epoch, *found = await self._redis.hmget(keys.journal(tenant, work_id), "epoch", *names)
        return int(epoch or 0), {name: each for name, each in zip(names, found, strict=True) if each is not None}

    async def write_runs(self, records: Iterable[RunRecord]) -> None:
        """Restore runs, replacing any existing records."""

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
                pipe.xadd(events, {"event": event}, id=f"{number}-{place}", maxlen=25_000, approximate=True)
        life = max(1, self._ttl - record.age) if run.state in ENDS else 0
        pipe.eval(_INDEX.text, 1, keys.runs(run.tenant), *entry_of(run, record.version), life)
        pipe.persist(keys.runs(run.tenant))
        for key in parts if life else ():
            pipe.pexpire(key, life)

    async def write_journals(self, journals: Mapping[tuple[str, str], Mapping[str, Any]]) -> None:
        """Restore journal entries, replacing any of the same name: (tenant, work) → entries by name.

        The log is written before Redis, so an entry in Redis is never newer than in the log, but may be older.
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

    async def write_boards(self, boards: Mapping[tuple[str, str], Sequence[BoardPosted]]) -> None:
        """Restore posts, unless the board has later ones: (tenant, run) → posts that count."""

        def fill(pipe: Any) -> None:
            for (tenant, run_id), posts in boards.items():
                key, known = keys.board(tenant, run_id), keys.journals(tenant, run_id)
                for each in posts:
                    pipe.eval(_PUT.text, 1, key, *board_arguments(each))
                pipe.sadd(known, key)
                self._expire(pipe, tenant, run_id, key, known)

        if boards:
            await self._write(fill)

    async def write_claims(self, claims: Collection[ClaimRecorded]) -> None:
        """Restore claims and their releases, unless a later claim on the resource is known."""

        def fill(pipe: Any) -> None:
            for each in claims:
                names = keys.claims(each.claim.tenant), keys.claim_number(each.claim.tenant)
                pipe.eval(_PUT_CLAIM.text, 2, *names, each.claim.resource, stored(each.claim), int(each.released))
                pipe.pexpire(names[0], CLAIMS_KEPT)

        if claims:
            await self._write(fill)

    async def settle(self, costs: Sequence[tuple[str, str, str, str, Amounts]]) -> None:
        """Settle costs recorded in journals, unless already settled: (tenant, run, call, attempt, amounts)."""
        generation = await self._redis.get(keys.SENTINEL)

        def fill(pipe: Any) -> None:
            for tenant, run_id, call, attempt, cost in costs:
                parts = keys.ledger(tenant, run_id), keys.tenant_ledger(tenant), keys.SENTINEL, keys.run(tenant, run_id)
                about = generation, self._ttl, call, attempt, len(cost)
                pipe.eval(_SETTLE.text, len(parts), *parts, *about, *Amounts._fields, *cost)
                pipe.eval(_MARK_REPORTED, 1, parts[0], f"call:{call}", f"spent {attempt}")

        await self._write(fill)

    async def write_ledgers(self, ledgers: Mapping[tuple[str, str], RunLedger]) -> None:
        """Restore the ledgers of runs, replacing existing ones: (tenant, run) → ledger."""

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
        """Restore the amounts that tenants have spent today."""
        today = str(int(time.time()) // 86_400)

        def fill(pipe: Any) -> None:
            for tenant, amounts in spent.items():
                key = keys.tenant_ledger(tenant)
                pipe.delete(key)
                pipe.hset(key, mapping=ledger_fields(RunLedger({}, amounts)) | {"day": today})

        await self._write(fill)

    async def write_costs(self, days: Mapping[tuple[str, str], DayCounters]) -> None:
        """Restore counters of costs, by tenant and day. A higher counter in Redis is kept."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for tenant, day in days:
                pipe.hkeys(keys.costs(tenant, day))
            known = await pipe.execute()

        def fill(pipe: Any) -> None:
            for ((tenant, day), counters), names in zip(days.items(), known, strict=True):
                for counter, amount in counters.folded(names).items():
                    about = counter, amount, *COSTS_KEPT, "raise"
                    pipe.eval(_SPEND.text, 2, keys.costs(tenant, day), keys.COST_TENANTS, *about)

        await self._write(fill)

    async def write_turns(self, runs: Iterable[Run]) -> None:
        """Restore the turns that runs are in their sessions. `limit_session` then gives each session its lifetime."""
        now = datetime.now(UTC)

        def fill(pipe: Any) -> None:
            for run in runs:
                about = *turn_keys(run), *turn_arguments(run, now, self._ttl / 1000)
                pipe.eval(_TURN.text, 3, *about)

        await self._write(fill)

    async def limit_session(self, tenant: str, session: str, before: Sequence[str], expires: int) -> None:
        """Remove the turns of runs before the session last expired, and let it expire at that time (ms)."""
        turns, order = keys.session_turns(tenant, session), keys.session_order(tenant, session)

        def fill(pipe: Any) -> None:
            if before:
                pipe.hdel(turns, *before)
                pipe.zrem(order, *before)
            pipe.pexpireat(turns, expires)
            pipe.pexpireat(order, expires)
            pipe.zadd(keys.sessions(tenant), {session: expires})

        await self._write(fill)

    async def write_cards(self, cards: Iterable[AgentCard]) -> None:
        """Restore the registry of agents; those that do not run expire after a while."""
        mapping = {card.name: card.model_dump_json() for card in cards}
        now, _ = await self._redis.time()

        def fill(pipe: Any) -> None:
            pipe.hset(keys.AGENTS, mapping=mapping)
            pipe.zadd(keys.AGENTS_SEEN, dict.fromkeys(mapping, now), nx=True)

        if mapping:
            await self._write(fill)

    async def _write(self, fill: Callable[[Any], object]) -> None:
        """Execute the commands that `fill` adds to the pipeline, all or nothing, if the lock is still held."""

        async def act(pipe: Any) -> None:
            if await pipe.get(keys.REBUILDING) != self.name:
                raise self.lost_error()
            pipe.multi()
            fill(pipe)

        await self._redis.transaction(act, keys.REBUILDING)
