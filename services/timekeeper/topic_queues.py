"""Queues of due timers, one per target topic, so that a topic that accepts no records does not block the others."""

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable

from services.timekeeper.timers import Due


class TopicQueues:
    """Runs `fire` for every timer added, up to `at_once` of a topic concurrently. `fire` must not raise."""

    def __init__(self, group: asyncio.TaskGroup, fire: Callable[[Due], Awaitable[None]], at_once: int) -> None:
        self._group = group
        self._fire = fire
        self._at_once = at_once
        self._queues: defaultdict[str, deque[Due]] = defaultdict(deque)
        self._running: Counter[str] = Counter()

    def add(self, topic: str, due: Due) -> None:
        """Queue a timer, to fire as soon as its topic has a free slot."""
        self._queues[topic].append(due)
        if self._running[topic] < self._at_once:
            self._running[topic] += 1
            self._group.create_task(self._run(topic))

    async def _run(self, topic: str) -> None:
        """Fire the queued timers of a topic, one after another."""
        queue = self._queues[topic]
        while queue:
            await self._fire(queue.popleft())
        self._running[topic] -= 1
