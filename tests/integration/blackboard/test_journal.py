"""The journal on a real Redis: recorded once, and only by who has the work."""

import json

import pytest

from shared.blackboard import Journal, Sentinel, read_journal
from shared.errors import BlackboardLost, Fenced

pytestmark = pytest.mark.broker


class Log:
    """Stands where the log in Kafka is, and can see what Redis has at that moment."""

    def __init__(self, sentinel: Sentinel) -> None:
        self.kept: list[tuple[str, int, object]] = []
        self.redis_had: list[list[str]] = []
        self._redis = sentinel.own

    async def keep(self, name, epoch, entry, of):
        self.kept.append((name, epoch, entry))
        self.redis_had.append(sorted(await self._redis.hkeys("waggle:default:journal:work-1")))


@pytest.fixture
def log(sentinel) -> Log:
    return Log(sentinel)


async def claimed(sentinel, log) -> Journal:
    return await Journal(sentinel, "default", "work-1", 60, log.keep).open()


async def test_an_entry_is_made_once_and_found_again(sentinel, log):
    calls = []

    async def act():
        calls.append(1)
        return {"answer": 42}

    assert await (await claimed(sentinel, log)).once("turn-1", act) == {"answer": 42}
    assert await (await claimed(sentinel, log)).once("turn-1", act) == {"answer": 42}
    assert len(calls) == 1
    assert await read_journal(sentinel.own, "default", "work-1") == {"turn-1": {"answer": 42}}


async def test_a_journal_of_a_run_that_there_is_not_is_kept_for_a_while(sentinel, log):
    await claimed(sentinel, log)
    assert 50 < await sentinel.own.ttl("waggle:default:journal:work-1") <= 60


async def test_the_log_has_an_entry_before_redis_has_it(sentinel, log):
    await (await claimed(sentinel, log)).write("turn-1", "a reply")
    assert log.redis_had == [["epoch"]]


async def test_an_answer_is_not_logged_for_it_is_published(sentinel, log):
    journal = await claimed(sentinel, log)
    await journal.write("answer/h1", {"kind": "StepCompleted"})
    assert log.kept == []
    assert "answer/h1" in await claimed(sentinel, log)


async def test_a_worker_that_lost_its_claim_can_write_nothing_more(sentinel, log):
    frozen = await claimed(sentinel, log)
    await frozen.write("turn-1", "first")
    owner = await claimed(sentinel, log)
    assert owner.epoch > frozen.epoch
    with pytest.raises(Fenced):
        await frozen.write("turn-2", "from the grave")
    await owner.write("turn-2", "second")
    assert (await read_journal(sentinel.own, "default", "work-1"))["turn-2"] == "second"


async def test_the_fencing_epoch_rises_over_a_rebuild_that_forgot_the_claims(sentinel, log):
    before = [await claimed(sentinel, log) for _ in range(5)][-1]
    await sentinel.own.flushall()
    await sentinel.renew(2)
    after = await claimed(sentinel, log)
    assert after.epoch > before.epoch
    with pytest.raises(BlackboardLost):
        await before.write("turn-1", "from before")


async def test_an_emptied_blackboard_can_be_neither_claimed_nor_written(sentinel, log):
    journal = await claimed(sentinel, log)
    await sentinel.own.flushall()
    with pytest.raises(BlackboardLost):
        await journal.write("turn-1", "x")
    with pytest.raises(BlackboardLost):
        await claimed(sentinel, log)
    assert await sentinel.own.keys() == []


async def test_the_bytes_of_a_journal_grow_with_what_is_added_only(sentinel, log):
    journal = await claimed(sentinel, log)
    sizes = []
    for number in range(100):
        await journal.write(f"turn-{number}", "x" * 1024)
        sizes.append(await sentinel.own.memory_usage("waggle:default:journal:work-1", samples=0))
    assert sizes[-1] < 1.4 * 100 * 1024  # 1,280 bytes is the size Redis allocates for each of these
    assert len(json.dumps(log.kept)) < 1.1 * 100 * 1024


async def test_an_intent_that_redis_was_lost_over_is_taken_back_by_the_process_that_knows_it_did_not_act(sentinel, log):
    leftovers = {}
    journal = await Journal(sentinel, "default", "work-1", 60, log.keep, leftovers).open()
    await sentinel.own.flushall()
    with pytest.raises(BlackboardLost):
        await journal.write("call-1/intent", {"tool": "send", "epoch": journal.epoch})
    await sentinel.renew(2)
    rebuilt = await claimed(sentinel, log)
    await rebuilt.write("call-1/intent", log.kept[0][2])  # as a rebuild finds it in the log
    again = await Journal(sentinel, "default", "work-1", 60, log.keep, leftovers).open()
    assert again["call-1/intent"] is None
    assert log.kept[-1] == ("call-1/intent", again.epoch, None)
    assert leftovers == {}


async def test_another_workers_intent_is_not_withdrawn(sentinel, log):
    leftovers = {("waggle:default:journal:work-1", "call-1/intent"): {"tool": "send", "epoch": 1}}
    owner = await claimed(sentinel, log)
    await owner.write("call-1/intent", {"tool": "send", "epoch": owner.epoch})
    again = await Journal(sentinel, "default", "work-1", 60, log.keep, leftovers).open()
    assert again["call-1/intent"]["epoch"] == owner.epoch


async def test_a_result_that_redis_was_lost_over_is_put_back_by_the_process_that_has_it(sentinel, log):
    leftovers = {}
    journal = await Journal(sentinel, "default", "work-1", 60, log.keep, leftovers).open()
    await sentinel.own.flushall()
    with pytest.raises(BlackboardLost):
        await journal.write("call-1", {"status": 200})
    await sentinel.renew(2)
    again = await Journal(sentinel, "default", "work-1", 60, log.keep, leftovers).open()
    assert again["call-1"] == {"status": 200}
