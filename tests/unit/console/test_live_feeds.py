"""Live updates inside the console: one reader for many browsers, and none of them can hold up another."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from services.console import live
from services.console.live import Feeds, Full, Subject, Update
from services.console.routes import live as routes
from services.console.routes.live import Stream


def of(owner: str | None = "key", about: str = "run", *, polls: bool = False) -> Subject:
    return Subject(owner, (about,), polls)


class Source:
    """A reader that publishes what a test puts in, and counts how often it is started."""

    def __init__(self) -> None:
        self.started = self.stopped = 0
        self.updates: asyncio.Queue[Update | None] = asyncio.Queue()

    async def read(self, publish) -> None:
        self.started += 1
        try:
            while (update := await self.updates.get()) is not None:
                publish(update)
        finally:
            self.stopped += 1


@pytest.fixture
async def feeds():
    made = Feeds()
    yield made
    await made.close()


async def test_one_reader_feeds_every_browser_and_stops_with_the_last(feeds):
    source = Source()
    async with AsyncExitStack() as stack:
        listeners = [await stack.enter_async_context(feeds.joined(of(about="a"), source.read)) for _ in range(40)]
        source.updates.put_nowait(Update("1", "one"))
        assert [await each.next(1) for each in listeners] == [Update("1", "one")] * 40
        async with feeds.joined(of(about="a"), source.read) as late:
            assert await late.next(1) == Update("1", "one")
        assert (source.started, source.stopped) == (1, 0)
    await asyncio.sleep(0)
    assert source.stopped == 1
    assert len(feeds) == 0


async def test_another_key_gets_a_reader_of_its_own(feeds):
    mine, other = Source(), Source()
    async with feeds.joined(of("key-1"), mine.read), feeds.joined(of("key-2"), other.read) as listener:
        mine.updates.put_nowait(Update("1", "of key 1"))
        assert await listener.next(0.05) is None
        assert (mine.started, other.started) == (1, 1)


async def test_a_slow_browser_skips_updates_and_holds_up_no_other(feeds):
    source = Source()
    async with feeds.joined(of(about="a"), source.read) as slow, feeds.joined(of(about="a"), source.read) as fast:
        for number in range(100):
            source.updates.put_nowait(Update(str(number), ""))
            assert await fast.next(1) == Update(str(number), "")
        assert await slow.next(1) == Update("99", "")
        assert await slow.next(0.01) is None


async def test_a_state_that_has_not_changed_is_not_sent_again(feeds):
    source = Source()
    async with feeds.joined(of(about="a"), source.read) as listener:
        for text in ("one", "one, a second later"):
            source.updates.put_nowait(Update("1", text))
        assert await listener.next(1) == Update("1", "one")
        assert await listener.next(0.05) is None
        source.updates.put_nowait(Update("2", "two"))
        assert await listener.next(1) == Update("2", "two")


@pytest.mark.parametrize("ends", [True, False])
async def test_browsers_leave_when_the_reader_ends_or_fails(feeds, ends):
    async def read(publish):
        publish(Update("1", "one"))
        await asyncio.sleep(0)
        if not ends:
            raise RuntimeError("gone")

    async with feeds.joined(of(about="a"), read) as listener:
        await asyncio.sleep(0.01)
        assert (listener.over, listener.failed) == (True, not ends)
        assert await listener.next(1) == Update("1", "one"), "the last state is not lost"
        assert await listener.next(0.01) is None
    assert len(feeds) == 0


async def test_a_process_serves_a_bounded_number_of_browsers(feeds, monkeypatch):
    monkeypatch.setattr(live, "MOST_LISTENERS", 2)
    source = Source()
    async with feeds.joined(of(about="a"), source.read), feeds.joined(of(about="b"), source.read):
        with pytest.raises(Full):
            async with feeds.joined(of(about="c"), source.read):
                pass


async def test_a_browser_that_takes_nothing_is_dropped(monkeypatch):
    monkeypatch.setattr(routes, "SEND_WITHIN", 0.05)
    closed = asyncio.Event()

    async def messages():
        try:
            while True:
                yield b"data: x\n\n"
        finally:
            closed.set()

    async def send(message):
        if message["type"] == "http.response.body":
            await asyncio.sleep(60)

    async def receive():
        await asyncio.sleep(60)

    async with asyncio.timeout(5):
        await Stream(messages())({"type": "http"}, receive, send)
        await closed.wait()


async def test_a_browser_that_leaves_ends_its_stream():
    closed, sent = asyncio.Event(), []

    async def messages():
        try:
            yield b"data: x\n\n"
            await asyncio.sleep(60)
        finally:
            closed.set()

    async def send(message):
        sent.append(message)

    async def receive():
        await asyncio.sleep(0.05)
        return {"type": "http.disconnect"}

    async with asyncio.timeout(5):
        await Stream(messages())({"type": "http"}, receive, send)
    assert closed.is_set()
    assert sent[1]["body"] == b"data: x\n\n"
    assert (b"content-type", b"text/event-stream; charset=utf-8") in sent[0]["headers"]


async def test_a_process_reads_a_bounded_number_of_pages_and_lets_more_browsers_join_them(feeds, monkeypatch):
    monkeypatch.setattr(live, "MOST_FEEDS", 1)
    source = Source()
    async with feeds.joined(of(about="a"), source.read), feeds.joined(of(about="a"), source.read):
        with pytest.raises(Full):
            async with feeds.joined(of(about="b"), source.read):
                pass


async def opened(feeds, stack: AsyncExitStack, *subjects: Subject) -> None:
    for subject in subjects:
        await stack.enter_async_context(feeds.joined(subject, Source().read))


async def is_full(feeds, subject: Subject) -> bool:
    try:
        async with feeds.joined(subject, Source().read):
            return False
    except Full:
        return True


async def test_one_key_cannot_take_the_readers_of_others(feeds):
    async with AsyncExitStack() as stack:
        await opened(feeds, stack, *(of("greedy", f"run-{n}") for n in range(live.FEEDS_OF_ONE)))
        assert await is_full(feeds, of("greedy", "run-x"))
        assert not await is_full(feeds, of("greedy", "run-0")), "of a page that it has, more may be open"
        assert not await is_full(feeds, of("other", "run-x"))


async def test_one_key_cannot_take_the_browsers_of_others(feeds):
    async with AsyncExitStack() as stack:
        await opened(feeds, stack, *(of("greedy") for _ in range(live.OF_ONE)))
        assert await is_full(feeds, of("greedy"))
        assert not await is_full(feeds, of("other"))


async def test_all_visitors_without_a_key_share_the_bounds_of_one(feeds):
    async with AsyncExitStack() as stack:
        await opened(feeds, stack, *(of(None, f"run-{n}") for n in range(live.FEEDS_OF_ONE)))
        assert await is_full(feeds, of(None, "run-x"))


async def test_readers_that_hold_no_connection_have_bounds_of_their_own(feeds, monkeypatch):
    monkeypatch.setattr(live, "MOST_FEEDS", 1)
    monkeypatch.setattr(live, "MOST_POLLS", 2)
    async with AsyncExitStack() as stack:
        await opened(feeds, stack, of("a"))
        assert await is_full(feeds, of("b"))
        await opened(feeds, stack, of("a", "overview", polls=True), of("b", "overview", polls=True))
        assert await is_full(feeds, of("c", "overview", polls=True))


async def test_one_key_has_a_bounded_number_of_readers_that_ask_again(feeds):
    async with AsyncExitStack() as stack:
        await opened(feeds, stack, *(of("greedy", f"inbox-{n}", polls=True) for n in range(live.POLLS_OF_ONE)))
        assert await is_full(feeds, of("greedy", "inbox-x", polls=True))
        assert not await is_full(feeds, of("greedy", "run"))
