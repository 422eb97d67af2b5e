"""Live updates: one reader for each page and key in this process, whose result goes to any number of browsers.

A reader makes an update at most once a second, however fast things change; each update is the whole present state, so
that a browser that is slow skips some. What is shown to one key is never sent to another one.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeAlias

import structlog

MOST_LISTENERS, OF_ONE = 1_000, 50
"""Pages that one process keeps up to date, and those of one key."""

MOST_FEEDS, FEEDS_OF_ONE = 50, 10
"""Readers of one process that each hold a connection to the gateway, of which pages need the rest; those of one key."""

MOST_POLLS, POLLS_OF_ONE = 200, 10
"""Readers of one process that ask again and again, and those of one key."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Update:
    """The present state as fragments of a page. Equal ids: nothing has changed."""

    id: str
    html: str


Publish: TypeAlias = Callable[[Update], None]
Reader: TypeAlias = Callable[[Publish], Awaitable[None]]


class Full(Exception):
    """The process, or the visitor's key, has as many pages open as it may."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Subject of a reader, and the key with which it reads."""

    owner: str | None
    """The key; all visitors without one share the bounds of one."""

    about: tuple[Hashable, ...]
    polls: bool = False
    """True if the reader asks again and again, and holds no connection to the gateway."""


@dataclass(eq=False, slots=True)
class Listener:
    """One browser: it gets the latest update, not all of them."""

    over: bool = False
    """True if no further update will come."""

    failed: bool = False
    """True if that is because the reader failed: to listen once more may help."""

    _latest: Update | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def offer(self, update: Update) -> None:
        """Replace the update that waits, if any."""
        self._latest = update
        self._changed.set()

    def end(self, *, failed: bool) -> None:
        """Mark the end; an update that waits is still to be taken."""
        self.over, self.failed = True, failed
        self._changed.set()

    async def next(self, within: float) -> Update | None:
        """Return the next update, or None after `within` seconds without one."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._changed.wait()
        self._changed.clear()
        update, self._latest = self._latest, None
        return update


@dataclass(eq=False, slots=True)
class _Feed:
    """A reader and its listeners."""

    listeners: set[Listener] = field(default_factory=set)
    latest: Update | None = None
    task: asyncio.Task[None] | None = None

    def publish(self, update: Update) -> None:
        """Offer the update to all listeners, unless nothing has changed."""
        if self.latest is not None and self.latest.id == update.id:
            return
        self.latest = update
        for listener in self.listeners:
            listener.offer(update)


class Feeds:
    """All readers of this process, by what they read and with which key."""

    def __init__(self) -> None:
        self._feeds: dict[Subject, _Feed] = {}

    def __len__(self) -> int:
        return sum(len(feed.listeners) for feed in self._feeds.values())

    def _has_room(self, subject: Subject) -> bool:
        own = [feed for each, feed in self._feeds.items() if each.owner == subject.owner]
        if len(self) >= MOST_LISTENERS or sum(len(feed.listeners) for feed in own) >= OF_ONE:
            return False
        if subject in self._feeds:
            return True
        alike = [each.owner for each in self._feeds if each.polls == subject.polls]
        most, most_of_one = (MOST_POLLS, POLLS_OF_ONE) if subject.polls else (MOST_FEEDS, FEEDS_OF_ONE)
        return len(alike) < most and alike.count(subject.owner) < most_of_one

    @asynccontextmanager
    async def joined(self, subject: Subject, read: Reader) -> AsyncIterator[Listener]:
        """Listen to the feed of this subject; `read` runs if it has no listener yet. Raises Full."""
        if not self._has_room(subject):
            raise Full
        feed = self._feeds.setdefault(subject, _Feed())
        listener = Listener()
        feed.listeners.add(listener)
        if feed.latest is not None:
            listener.offer(feed.latest)
        if feed.task is None:
            feed.task = asyncio.create_task(self._run(subject, feed, read))
        try:
            yield listener
        finally:
            feed.listeners.discard(listener)
            if not feed.listeners:
                self._forget(subject, feed)
                feed.task.cancel()

    async def close(self) -> None:
        """Stop all readers."""
        tasks = [feed.task for feed in self._feeds.values() if feed.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, subject: Subject, feed: _Feed, read: Reader) -> None:
        """Read until there is nothing more to come; the listeners then leave."""
        failed = False
        try:
            await read(feed.publish)
        except Exception as failure:  # noqa: BLE001 -- the browsers reconnect
            log.warning("live_reader_failed", error=repr(failure))
            failed = True
        self._forget(subject, feed)
        for listener in feed.listeners:
            listener.end(failed=failed)

    def _forget(self, subject: Subject, feed: _Feed) -> None:
        if self._feeds.get(subject) is feed:
            del self._feeds[subject]
