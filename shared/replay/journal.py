"""Journal of a work in memory, for replays and branches: nothing that they write leaves the process."""

import json
from abc import abstractmethod
from contextlib import AbstractContextManager
from typing import Any

from shared.blackboard import Journal
from shared.blackboard.journal import OF


class MemoryJournal(Journal):
    """Entries that are kept in memory alone."""

    def __init__(self) -> None:
        self._entries: dict[str, str] = {}
        self.epoch = 0

    @abstractmethod
    def making(self, name: str) -> AbstractContextManager[None]:
        """Note that the entry of this name is being made."""

    def add(self, name: str, entry: Any, of: Any = None) -> None:
        """Add an entry."""
        self._entries[name] = json.dumps(entry)
        if of is not None:
            self._entries[name + OF] = json.dumps(of)

    async def write(self, name: str, outcome: Any, *, of: Any = None) -> None:
        """Keep an entry."""
        self.add(name, outcome, of)

    async def once(self, name: str, act: Any, *, of: Any = None) -> Any:
        """Return the entry; if there is none, act, and keep what comes of it."""
        if name not in self:
            with self.making(name):
                outcome = await act()
            await self.write(name, outcome, of=of)
        return self[name]
