"""A Redis that starts again is verified against the logs' tails; one that has lost a change is rebuilt."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from schemas.budget import Usage
from schemas.log import JournalWritten
from shared.blackboard import BoardStore, ClaimStore, Journal, Sentinel, announce, keys, read_checkpoint, read_journal
from shared.blackboard import checkpoint as blackboard_checkpoint
from shared.blackboard.ledger import Amounts, ledger_fields
from shared.bus import encode_lean, publish
from shared.bus.admin import ends, stream
from shared.service.rebuild import Report, Verified, checkpoint, reading, recover
from shared.service.rebuild.checkpoint import keep_checkpoint
from shared.service.rebuild.generations import LOGS
from tests.support.boards import author, held, keeping_board, post, wanted
from tests.support.orchestrating import CARD, RUN, completed, handoff_of, orchestrating, task
from tests.support.rebuilding import keeping
from tests.support.restarting import RestartingRedis


@pytest.fixture
async def server(tmp_path):
    """A Redis that can be restarted."""
    server = RestartingRedis(tmp_path)
    await server.start()
    yield server
    server.kill()


@pytest.fixture
async def sentinel(server):
    """Its blackboard, declared whole."""
    sentinel = Sentinel(server.url)
    await sentinel.renew(1)
    yield sentinel
    await sentinel.close()


@pytest.fixture
async def orchestrator(settings, topics, sentinel):
    await announce(sentinel.own, CARD)
    async with orchestrating(settings, sentinel) as found:
        yield found


@pytest.fixture
def read(monkeypatch):
    """Number of log records that were read."""
    counts = dict.fromkeys(LOGS, 0)

    async def counted(settings, topic, since=None):
        async for records in stream(settings, topic, since):
            counts[topic] += len(records)
            yield records

    monkeypatch.setattr(reading, "stream", counted)
    return counts


async def checkpoints(sentinel, settings, count=2):
    """Write so many checkpoints; from the second one on, a restart can be verified with them."""
    async with ends(settings, LOGS) as ask:
        for _ in range(count):
            await sentinel.refresh()
            await checkpoint.checkpoint(sentinel, ask)
    await sentinel.refresh()


async def restart(server, sentinel, old=None):
    """Restart it, and forget the connections to the server that was killed."""
    await server.restart(old)
    for client in (sentinel.own, sentinel.client):
        await client.connection_pool.disconnect()
    assert not await sentinel.refresh()
    assert sentinel.reachable


async def goes_on(orchestrator):
    return await changes(orchestrator) > 1


async def changes(orchestrator):
    """Have the run's step answered; the number of the change this makes."""
    await orchestrator.handle(completed(await handoff_of(orchestrator)))
    return (await orchestrator.parts.runs.load("default", RUN)).version


async def test_a_redis_that_restarts_whole_is_verified_by_the_tails(orchestrator, sentinel, settings, server, read):
    await orchestrator.handle(task())
    await checkpoints(sentinel, settings)
    before = await sentinel.own.hgetall(keys.run("default", RUN))
    await restart(server, sentinel)
    with capture_logs() as logs:
        found = await recover(sentinel, settings)
    assert found == Verified(epoch=2, runs=0, restored=0, seconds=found.seconds)
    assert [each["event"] for each in logs if each["event"].endswith("_verified")] == ["blackboard_verified"]
    assert read == {"runs.log": 0, "journal": 0}
    assert sentinel.generation.startswith("2:")
    assert await sentinel.own.hgetall(keys.run("default", RUN)) == before
    assert await goes_on(orchestrator)


async def test_a_change_after_the_checkpoint_that_redis_has_is_verified(orchestrator, sentinel, settings, server, read):
    await orchestrator.handle(task())
    await checkpoints(sentinel, settings)
    await changes(orchestrator)
    await restart(server, sentinel)
    found = await recover(sentinel, settings)
    assert isinstance(found, Verified)
    assert found.runs == 1
    assert read["runs.log"] == 1


@pytest.mark.parametrize("later", [0, 3])
async def test_a_redis_that_lost_a_change_is_rebuilt_however_many_checkpoints_it_lost_with_it(
    orchestrator, sentinel, settings, server, tmp_path, later
):
    await orchestrator.handle(task())
    await checkpoints(sentinel, settings)
    old = server.copy(tmp_path / "old")
    version = await changes(orchestrator)
    await checkpoints(sentinel, settings, later)
    await restart(server, sentinel, old)
    found = await recover(sentinel, settings)
    assert isinstance(found, Report)
    assert (found.restored, found.epoch) == (1, 2)
    assert (await orchestrator.parts.runs.load("default", RUN)).version == version
    assert (await read_checkpoint(sentinel.own)).token == "", "it spoke of what was replaced"


async def test_an_old_copy_whose_runs_have_not_changed_since_is_verified(
    orchestrator, sentinel, settings, server, tmp_path
):
    await orchestrator.handle(task())
    await checkpoints(sentinel, settings)
    old = server.copy(tmp_path / "old")
    await checkpoints(sentinel, settings, 3)
    await restart(server, sentinel, old)
    assert isinstance(await recover(sentinel, settings), Verified)
    assert await goes_on(orchestrator)


@pytest.mark.parametrize("made", [0, 1])
async def test_a_redis_without_two_checkpoints_is_rebuilt(orchestrator, sentinel, settings, server, made):
    await orchestrator.handle(task())
    await checkpoints(sentinel, settings, made)
    await restart(server, sentinel)
    assert isinstance(await recover(sentinel, settings), Report)
    assert await goes_on(orchestrator)


async def test_a_flushed_redis_is_rebuilt(orchestrator, sentinel, settings):
    await orchestrator.handle(task())
    await checkpoints(sentinel, settings)
    await sentinel.own.flushall()
    assert isinstance(await recover(sentinel, settings), Report)
    assert await goes_on(orchestrator)


async def test_a_checkpoint_beyond_the_end_of_a_log_or_of_other_partitions_verifies_nothing(
    orchestrator, sentinel, settings, server
):
    await orchestrator.handle(task())
    for spoiled in (lambda found: dict.fromkeys(found, 1_000), lambda found: {"0": found["0"]}):
        await checkpoints(sentinel, settings)
        before = await read_checkpoint(sentinel.own)
        offsets = {**before.offsets, "runs.log": spoiled(before.offsets["runs.log"])}
        reached = {"journal": before.ahead}
        assert await blackboard_checkpoint.advance(sentinel, sentinel.generation, before, offsets, reached)
        await restart(server, sentinel)
        with capture_logs() as logs:
            assert isinstance(await recover(sentinel, settings), Report)
        assert "blackboard_not_verified" in [each["event"] for each in logs]
    assert await goes_on(orchestrator)


async def test_an_unreadable_change_in_the_tail_ends_in_a_rebuild(orchestrator, sentinel, settings, server):
    await orchestrator.handle(task())
    await checkpoints(sentinel, settings)
    stranger = JournalWritten(work_id="other/data/1", epoch=1, name="n", entry=None)
    record = encode_lean(stranger, key="other", source="/t", prefix=settings.topic_prefix)
    await publish(orchestrator.parts.broker, [record.model_copy(update={"topic": f"{settings.topic_prefix}runs.log"})])
    await restart(server, sentinel)
    assert isinstance(await recover(sentinel, settings), Report)
    assert await goes_on(orchestrator)


async def test_posts_and_claims_lost_in_the_tail_are_put_back_as_they_were(
    orchestrator, sentinel, settings, server, tmp_path
):
    await orchestrator.handle(task())
    boards, claims = BoardStore(sentinel, 60), ClaimStore(sentinel)
    keep = keeping_board(orchestrator.parts.broker, settings)
    await boards.post(author(), post(content="4 %"), keep)
    gone = await claims.claim(author(), wanted("customer 1"), keep)
    await checkpoints(sentinel, settings)
    old = server.copy(tmp_path / "old")
    await boards.post(author(step="s2"), post(content="5 %"), keep)
    await claims.release(gone, keep, by="ann", why="done")
    await claims.claim(author(), wanted("customer 2"), keep)
    before, claimed = await held(sentinel), await claims.held("default")
    await restart(server, sentinel, old)
    assert isinstance(await recover(sentinel, settings), Verified)
    assert await held(sentinel) == before
    assert await claims.held("default") == claimed
    assert [each.resource for each in claimed] == ["customer 2"]


async def test_journal_entries_lost_in_the_tail_are_put_back_and_their_cost_is_counted_once(
    orchestrator, sentinel, settings, server, tmp_path
):
    await orchestrator.handle(task())
    work = await handoff_of(orchestrator)
    journal = await Journal(sentinel, "default", work, 60, keeping(orchestrator, settings, work)).open()
    await journal.write("turn-1", reply("1.1", tokens=3))
    counted = ledger_fields_of(work, "turn-1", "1.1", 3)
    await sentinel.own.hset(keys.ledger("default", RUN), mapping=counted)
    await checkpoints(sentinel, settings)
    old = server.copy(tmp_path / "old")
    await journal.write("turn-2", reply("1.2", tokens=4))
    await journal.write("turn-2/call-1/intent", {"tool": "send"})
    await restart(server, sentinel, old)
    found = await recover(sentinel, settings)
    assert isinstance(found, Verified)
    assert found.restored == 2
    assert await read_journal(sentinel.own, "default", work) == {
        "turn-1": reply("1.1", tokens=3),
        "turn-2": reply("1.2", tokens=4),
        "turn-2/call-1/intent": {"tool": "send"},
    }
    ledger = await sentinel.own.hgetall(keys.ledger("default", RUN))
    assert ledger["spent:tokens"] == "7"
    assert ledger[f"call:{work}/turn-2"] == "spent 1.2"
    await restart(server, sentinel)
    again = await recover(sentinel, settings)
    assert again.restored == 0
    assert (await sentinel.own.hget(keys.ledger("default", RUN), "spent:tokens")) == "7"


def reply(attempt: str, tokens: int) -> dict:
    return {"attempt": attempt, "reply": {"usage": Usage(prompt_tokens=tokens, model_calls=1).model_dump(mode="json")}}


def ledger_fields_of(work: str, name: str, attempt: str, tokens: int) -> dict[str, str]:
    from shared.blackboard.ledger import RunLedger

    return ledger_fields(RunLedger({f"{work}/{name}": attempt}, Amounts(tokens=tokens, model_calls=1)))


async def test_an_entry_that_was_appended_two_checkpoints_ago_is_appended_again_before_redis_takes_it(
    orchestrator, sentinel, settings, server, tmp_path
):
    """The writer was frozen in between: the tail behind the checkpoint would not have its entry."""
    await orchestrator.handle(task())
    work = await handoff_of(orchestrator)
    await checkpoints(sentinel, settings)
    append, appended = keeping(orchestrator, settings, work), []

    async def keep(*entry):
        await append(*entry)
        appended.append(entry)
        if len(appended) == 1:
            other = Sentinel(server.url)
            await checkpoints(other, settings, 2)
            await other.close()

    journal = await Journal(sentinel, "default", work, 60, keep).open()
    old = server.copy(tmp_path / "claimed")
    await journal.write("turn-1", "found")
    assert len(appended) == 2
    await restart(server, sentinel, old)
    assert (await recover(sentinel, settings)).restored == 1
    assert await read_journal(sentinel.own, "default", work) == {"turn-1": "found"}


async def test_an_entry_that_redis_refused_to_a_fenced_writer_is_not_put_back(orchestrator, sentinel, settings, server):
    await orchestrator.handle(task())
    work = await handoff_of(orchestrator)
    keep = keeping(orchestrator, settings, work)
    first = await Journal(sentinel, "default", work, 60, keep).open()
    await (await Journal(sentinel, "default", work, 60, keep).open()).write("turn-1", "mine")
    await checkpoints(sentinel, settings)
    await keep("turn-1", first.epoch, "from the grave")
    await keep("turn-2", first.epoch, "from the grave")
    await restart(server, sentinel)
    assert (await recover(sentinel, settings)).restored == 0
    assert await read_journal(sentinel.own, "default", work) == {"turn-1": "mine"}


async def test_writes_of_the_generation_before_the_restart_are_refused(orchestrator, sentinel, settings, server):
    await orchestrator.handle(task())
    work = await handoff_of(orchestrator)
    await checkpoints(sentinel, settings)
    journal = await Journal(sentinel, "default", work, 60, keeping(orchestrator, settings, work)).open()
    await restart(server, sentinel)
    assert isinstance(await recover(sentinel, settings), Verified)
    assert (await journal._put({"turn-1": "1"}, sentinel.checkpoint))[0] == "lost"
    taken = await Journal(sentinel, "default", work, 60, keeping(orchestrator, settings, work)).open()
    assert taken.epoch > journal.epoch


async def test_a_blackboard_that_another_process_has_just_recovered_is_left_alone(orchestrator, sentinel, settings):
    generation = sentinel.generation
    assert await recover(sentinel, settings) is None
    assert await sentinel.own.get(keys.SENTINEL) == generation


async def test_an_orchestrator_keeps_the_checkpoint_and_one_of_two_writes_it(
    orchestrator, sentinel, settings, monkeypatch
):
    monkeypatch.setattr(checkpoint, "EVERY", 0.2)
    await orchestrator.handle(task())
    async with running(keep_checkpoint(sentinel, settings), keep_checkpoint(sentinel, settings)), asyncio.timeout(30):
        while not (found := await read_checkpoint(sentinel.own)).offsets:
            await asyncio.sleep(0.05)
    assert sum(found.offsets["runs.log"].values()) == 1
    assert found.offsets.keys() == set(LOGS)


async def test_an_unchanged_checkpoint_is_not_written_again(orchestrator, sentinel, settings):
    await orchestrator.handle(task())
    await checkpoints(sentinel, settings)
    before = await read_checkpoint(sentinel.own)
    await checkpoints(sentinel, settings, 3)
    assert await read_checkpoint(sentinel.own) == before


@asynccontextmanager
async def running(*work):
    """Do some work for as long as a block."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        yield
    finally:
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
