"""Posts on a run's board, on a real Redis with a log in a real broker."""

import asyncio

import pytest

from shared.blackboard import BoardStore, VersionConflict, board, keys
from shared.errors import BlackboardLost, TerminalError
from shared.service.rebuild import rebuild
from tests.support.boards import RUN, author, ended, held, keeping_board, live, post
from tests.support.orchestrating import task

pytestmark = pytest.mark.broker


class Killed(BaseException):
    """The process ends here, as by kill -9: nothing after it runs."""


@pytest.fixture
async def boards(sentinel, orchestrator) -> BoardStore:
    await orchestrator.handle(task())
    return BoardStore(sentinel, ttl=60)


@pytest.fixture
def keep(orchestrator, settings):
    return keeping_board(orchestrator.parts.broker, settings)


@pytest.fixture
def soon_expired(monkeypatch):
    """A reservation of a dead writer expires at once."""
    monkeypatch.setattr(board, "RESERVED_FOR", 1)


async def test_a_post_is_read_with_author_time_version_reason_and_origin(boards, keep):
    posted = await boards.post(author(), post(taint=["page:https://a.example"]), keep)
    (read,) = await boards.read("default", RUN)
    assert read == posted
    assert (read.agent, read.step, read.work_id, read.version) == ("research", "s1", f"{RUN}/s1/0.0", 1)
    assert (read.origin, read.taint, read.reason) == ("agent:research", ["page:https://a.example"], "seen")


async def test_each_version_of_twenty_racing_writers_has_exactly_one_winner(boards, keep):
    async def write(number, expect):
        try:
            return await boards.post(author(step=f"s{number}"), post(content=number, expect=expect), keep)
        except VersionConflict:
            return None

    for version in range(3):
        found = await asyncio.gather(*(write(number + 100 * version, version) for number in range(20)))
        (won,) = [each for each in found if each is not None]
        assert won.version == version + 1
    history = await boards.read("default", RUN, "finding", "rate", history=True)
    assert [each.version for each in history] == [1, 2, 3]
    assert history[-1] == won


async def test_writers_that_expect_no_version_all_get_one(boards, keep):
    await asyncio.gather(*(boards.post(author(step=f"s{n}"), post(content=n), keep) for n in range(20)))
    history = await boards.read("default", RUN, "finding", "rate", history=True)
    assert [each.version for each in history] == list(range(1, 21))
    assert sorted(each.content for each in history) == list(range(20))


async def test_one_place_posts_once_and_a_changed_post_at_it_is_another(boards, keep):
    first = await boards.post(author(), post(), keep)
    assert await boards.post(author(), post(), keep) == first
    assert (await boards.post(author(), post(content="5 %"), keep)).version == 2


async def test_a_conflict_names_the_current_entry(boards, keep):
    first = await boards.post(author(), post(), keep)
    with pytest.raises(VersionConflict) as conflict:
        await boards.post(author(step="s2"), post(content="5 %", expect=0), keep)
    assert conflict.value.current == first
    with pytest.raises(VersionConflict) as absent:
        await boards.post(author(step="s2"), post("other", expect=3), keep)
    assert absent.value.current is None


@pytest.mark.parametrize("after", ["reservation", "append"])
async def test_a_writer_killed_between_two_steps_posts_once_when_its_work_is_redelivered(
    boards, keep, sentinel, settings, after
):
    appended = []

    async def dies(name, entry):
        if after == "append":
            await keep(name, entry)
            appended.append(name)
        raise Killed

    with pytest.raises(Killed):
        await boards.post(author(), post(), dies)
    assert await boards.read("default", RUN) == [], "it is not visible yet"
    posted = await boards.post(author(), post(), keep)
    assert (posted.version, await boards.read("default", RUN)) == (1, [posted])
    await lost(sentinel, settings)
    assert await boards.read("default", RUN, "finding", "rate", history=True) == [posted]


@pytest.mark.usefixtures("soon_expired")
async def test_a_version_reserved_by_a_dead_writer_goes_to_the_next_one_also_after_a_rebuild(
    boards, keep, sentinel, settings
):
    async def dies(name, entry):
        await keep(name, entry)
        raise Killed

    with pytest.raises(Killed):
        await boards.post(author(), post(content="of the dead"), dies)
    await asyncio.sleep(0.01)
    other = await boards.post(author(step="s2"), post(content="of the living", expect=0), keep)
    assert other.version == 1
    late = await boards.post(author(), post(content="of the dead"), keep)
    before = await held(sentinel)
    await lost(sentinel, settings)
    assert await held(sentinel) == before
    assert await boards.read("default", RUN, "finding", "rate", history=True) == [other, late]


@pytest.mark.usefixtures("soon_expired")
async def test_a_writer_that_appends_after_its_reservation_has_expired_takes_another_version(
    boards, keep, sentinel, settings
):
    reserved, resume = asyncio.Event(), asyncio.Event()

    async def stalls(name, entry):
        reserved.set()
        await resume.wait()
        await keep(name, entry)

    slow = asyncio.create_task(boards.post(author(), post(content="slow"), stalls))
    await reserved.wait()
    await asyncio.sleep(0.01)
    fast = await boards.post(author(step="s2"), post(content="fast"), keep)
    resume.set()
    assert ((await slow).version, fast.version) == (2, 1)
    before = await held(sentinel)
    await lost(sentinel, settings)
    assert await held(sentinel) == before, "the late record of version 1 does not count"


async def test_a_post_that_redis_lost_before_it_was_visible_is_not_posted_twice(boards, keep, sentinel, settings):
    async def loses(name, entry):
        await keep(name, entry)
        await lost(sentinel, settings)

    with pytest.raises(BlackboardLost):
        await boards.post(author(), post(expect=0), loses)
    await sentinel.refresh()
    await boards.post(author(), post(expect=0), keep)
    assert [each.version for each in await boards.read("default", RUN, "finding", "rate", history=True)] == [1]


async def test_a_rebuild_restores_every_version_author_time_and_reservation(boards, keep, sentinel, settings):
    for number in range(5):
        await boards.post(author(step=f"s{number}"), post(f"key {number % 2}/ü:", number), keep)
    await boards.post(author("data"), post(kind="question", content={"question": "which year?"}), keep)
    before, read = await held(sentinel), await boards.read("default", RUN)
    await lost(sentinel, settings)
    assert await held(sentinel) == before
    assert await boards.read("default", RUN) == read
    again = await boards.post(author(step="s9"), post("key 0/ü:", 9), keep)
    assert again.version == 4, "versions continue"


async def test_boards_of_other_tenants_and_runs_are_not_reachable(boards, keep, sentinel, orchestrator, settings):
    await boards.post(author(), post(), keep)
    theirs = keeping_board(orchestrator.parts.broker, settings, tenant="other")
    await live(sentinel, tenant="other")
    assert await boards.read("other", RUN) == []
    await boards.post(author(tenant="other"), post(content="theirs"), theirs)
    assert [each.content for each in await boards.read("default", RUN)] == ["4 %"]
    assert await boards.read("default", "run-other") == []
    await lost(sentinel, settings)
    assert [each.content for each in await boards.read("default", RUN)] == ["4 %"]


async def test_kinds_and_keys_that_begin_alike_are_told_apart(boards, keep):
    for key in ("a", "ab", "a:b", "a/b", "a%3Ab"):
        await boards.post(author(step=key), post(key, key), keep)
    for key in ("a", "ab", "a:b", "a/b", "a%3Ab"):
        assert [each.content for each in await boards.read("default", RUN, "finding", key)] == [key]
    assert len(await boards.read("default", RUN, "finding")) == 5
    assert await boards.read("default", RUN, "question") == []


async def test_a_board_is_bounded_in_entries_and_bytes(boards, keep, monkeypatch):
    monkeypatch.setattr(board, "MOST_ENTRIES", 2)
    for number in range(2):
        await boards.post(author(step=f"s{number}"), post(content=number), keep)
    with pytest.raises(TerminalError, match="at most"):
        await boards.post(author(step="s3"), post(content=3), keep)
    monkeypatch.setattr(board, "MOST_ENTRIES", 10)
    monkeypatch.setattr(board, "MOST_BYTES", 1_000)
    with pytest.raises(TerminalError, match="at most"):
        await boards.post(author(step="s4"), post(content="x" * 900), keep)


async def test_a_board_lives_as_long_as_its_run(boards, keep, sentinel):
    await boards.post(author(), post(), keep)
    assert await sentinel.own.pttl(keys.board("default", RUN)) == -1
    assert keys.board("default", RUN) in await sentinel.own.smembers(keys.journals("default", RUN))


async def test_the_commit_that_ends_a_run_lets_its_board_expire_with_it(boards, keep, orchestrator, sentinel, settings):
    await boards.post(author(), post(), keep)
    await ended(orchestrator)
    left = [await sentinel.own.pttl(key) for key in (keys.run("default", RUN), keys.board("default", RUN))]
    assert left[0] > 0
    assert abs(left[0] - left[1]) < 1_000
    before = await boards.read("default", RUN)
    await lost(sentinel, settings)
    assert await boards.read("default", RUN) == before, "the board of a run that has ended is restored"
    assert await sentinel.own.pttl(keys.board("default", RUN)) > 0


async def lost(sentinel, settings):
    """Empty Redis and rebuild it."""
    await sentinel.own.flushall()
    await rebuild(sentinel, settings)
