"""Attempts without a reply whose entry reaches the log in Kafka and not Redis: a rebuild counts each once."""

import asyncio
from contextlib import suppress

from schemas.log import JournalWritten
from shared.llm.prices import Price
from shared.llm.spending import Demand
from shared.service.rebuild.fold import fold_journals, fold_ledgers
from tests.support.agent_loop import account_of, agent, handoff, underway, worker

__all__ = ["agent", "worker"]


class Unreachable:
    """Scripts on a Redis that does not answer."""

    async def run(self, *_):
        raise TimeoutError


async def test_an_attempt_whose_entry_redis_did_not_take_has_the_same_name_when_the_next_worker_writes_it(
    worker, agent, model
):
    step, kept = handoff(agent), []
    await underway(worker, step)

    async def keep(name, epoch, entry, of):
        facts = {"tenant": step.tenant, "work_id": step.idempotency_key}
        kept.append(JournalWritten(**facts, name=name, epoch=epoch, entry=entry, of=of))

    journal = await worker.runtime.journal(step).open()
    journal._keep, journal._scripts = keep, Unreachable()
    demand = Demand("m", 10, 300, Price(prompt=1, completion=1), asyncio.sleep)
    with suppress(ConnectionError):
        async with account_of(worker, step, journal).spending("think-1/turn-1")(demand):
            raise ConnectionError
    successor = await worker.runtime.journal(step).open()
    successor._keep = keep
    await account_of(worker, step, successor).close()
    assert [each.name for each in kept] == [f"think-1/turn-1/lost-{journal.epoch}.1"] * 2
    [ledger] = fold_ledgers(fold_journals(kept)).values()
    assert ledger.spent == await worker.runtime.ledger(step).read_spent()
