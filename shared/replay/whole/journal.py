"""Journal and files of one work of a branch, in memory."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any

from schemas.task import Artefact, Attachment
from shared.agent.workspace import StepWorkspace
from shared.archive import Blob, BlobStore
from shared.blackboard import Journal
from shared.blackboard.journal import OF
from shared.blackboard.ledger import Amounts
from shared.replay.whole.stops import MISS, BranchStopped
from shared.replay.works import Entry

_making: ContextVar[str] = ContextVar("making", default="")


def place_now() -> str:
    """Return the name of the entry that is being made."""
    return _making.get()


class BranchJournal(Journal):
    """The entries of one work. What is written is kept in memory."""

    def __init__(self) -> None:
        self._entries: dict[str, str] = {}
        self.epoch = 0

    async def open(self) -> Journal:
        """Begin a try."""
        self.epoch += 1
        return self

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
            with _named(name):
                outcome = await act()
            await self.write(name, outcome, of=of)
        return self[name]

    def made(self, at: datetime) -> list[Entry]:
        """Return the entries in the form of a record."""
        named = self.entries().items()
        return [Entry(name, entry, self.about(name), self.epoch, at, Amounts()) for name, entry in named]


@contextmanager
def _named(name: str) -> Iterator[None]:
    token = _making.set(name)
    try:
        yield
    finally:
        _making.reset(token)


class BranchArchive(BlobStore):
    """Contents that the branch itself has made."""

    def __init__(self) -> None:
        self._blobs: dict[str, Blob] = {}

    async def put(self, tenant: str, content: bytes, media_type: str) -> str:
        """Keep the content in memory."""
        uri = f"blob:{hashlib.sha256(content).hexdigest()}"
        self._blobs[uri] = Blob(content, media_type)
        return uri

    async def get(self, tenant: str, uri: str) -> Blob | None:
        """Return the content; None if the branch has not made it."""
        return self._blobs.get(uri)


class BranchWorkspace(StepWorkspace):
    """Files of a step: texts of the task, and what the branch has made."""

    async def _content(self, file: Attachment | Artefact) -> bytes:
        if isinstance(file, Attachment) and file.text is not None:
            return file.text.encode(errors="replace")
        blob = await self._archive.get(self._handoff.tenant, file.uri or "")
        if blob is None:
            at = self._handoff.idempotency_key
            raise BranchStopped(MISS, at, f"the handler reads {file.name}, and files are not in the log")
        return blob.content
