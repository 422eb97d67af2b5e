"""Orders to forget a selection: what they reach, and their record in the log of memories."""

import asyncio
import re
from datetime import UTC, datetime

from schemas.api.memories import ForgetReach, ForgetRequest
from schemas.event import State
from schemas.memory_log import ForgettingOrdered
from services.gateway.memory_changes import INTERVAL, WITHIN
from services.gateway.publishing import deliver
from shared.blackboard import keys
from shared.blackboard.conversations import Conversations
from shared.blackboard.listing import RunIndex
from shared.memory import MemoryStore, Selection
from shared.memory.listing import reach_of
from shared.service import Parts

MOST_RUNS = 500
"""Runs whose records are looked at for a dry run."""

_FILE = re.compile(r"blob:([0-9a-f]{64})")


async def reach(parts: Parts, store: MemoryStore, tenant: str, order: ForgetRequest) -> ForgetReach:
    """Count what an order would forget as far as the gateway sees it: memories, runs on the blackboard, their files."""
    about = Selection(order.subject, order.run, order.session)
    found = await reach_of(store, tenant, about, MOST_RUNS)
    counted = ForgetReach(memories=found.memories, candidates=found.candidates, runs=0, files=0)
    if order.everything:
        states = await RunIndex(parts.sentinel).count_by_state(tenant, list(State))
        files = await parts.archive.count(tenant)
        return counted.model_copy(update={"runs": sum(states.values()), "files": files})
    names = {*found.runs, *([order.run] if order.run else []), *await _turns(parts, tenant, order.session)}
    return counted.model_copy(update=await _of_runs(parts, tenant, sorted(names)))


async def give(parts: Parts, tenant: str, order: ForgetRequest, by: str) -> ForgettingOrdered:
    """Publish the order, which stands from now on; return its record."""
    about = order.model_dump(include={"subject", "run", "session", "everything"})
    record = ForgettingOrdered(tenant=tenant, by=by, reason=order.reason, at=datetime.now(UTC), **about)
    await deliver(parts, record, id=f"{record.key}-{record.at.timestamp():.6f}", run_id=record.key)
    return record


async def in_effect(store: MemoryStore, order: ForgetRequest, given: ForgettingOrdered) -> bool:
    """Wait until no memory of the selection is left, or for a while; return True if none is."""
    about = Selection(order.subject, order.run, order.session)
    for _ in range(int(WITHIN / INTERVAL)):
        if not (await reach_of(store, given.tenant, about, 1, until=given.at)).memories:
            return True
        await asyncio.sleep(INTERVAL)
    return False


async def _turns(parts: Parts, tenant: str, session: str | None) -> list[str]:
    """Return the runs of a conversation that the blackboard still has."""
    found = await Conversations(parts.sentinel).session(tenant, session, MOST_RUNS) if session else None
    return [turn.run_id for turn in found.turns] if found else []


async def _of_runs(parts: Parts, tenant: str, names: list[str]) -> dict[str, object]:
    """Return the number of these runs that the blackboard has, and of the files that their records name."""
    runs, files = 0, set[str]()
    for name in names[:MOST_RUNS]:
        fields: dict[str, str] = await parts.redis.hgetall(keys.run(tenant, name))
        runs += bool(fields)
        files |= {digest for value in fields.values() for digest in _FILE.findall(value)}
    return {"runs": runs, "files": len(files), "complete": len(names) < MOST_RUNS}
