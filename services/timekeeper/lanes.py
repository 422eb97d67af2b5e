"""Due timers on their way: of each topic some at once, so that a topic that takes none holds up no other."""

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable

from services.timekeeper.timers import Due


class Lanes:
    """Runs `fire` for every timer it is given, `at_once` of a topic beside each other. `fire` must not raise."""

    def __init__(self, group: asyncio.TaskGroup, fire: Callable[[Due], Awaitable[None]], at_once: int) -> None:
        self._group = group
        self._fire = fire
        self._at_once = at_once
        self._queues: defaultdict[str, deque[Due]] = defaultdict(deque)
        self._running: Counter[str] = Counter()

    def add(self, topic: str, due: Due) -> None:
        """Let a timer fire as soon as its topic has room."""
        self._queues[topic].append(due)
        if self._running[topic] < self._at_once:
            self._running[topic] += 1
            self._group.create_task(self._run(topic))

    async def _run(self, topic: str) -> None:
        """Fire what waits for the topic, one after the other."""
        queue = self._queues[topic]
        while queue:
            await self._fire(queue.popleft())
        self._running[topic] -= 1
