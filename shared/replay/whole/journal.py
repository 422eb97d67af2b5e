"""Journal and files of one work of a branch, in memory."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime

from schemas.task import Artefact, Attachment
from shared.agent.workspace import StepWorkspace
from shared.archive import Blob, BlobStore
from shared.blackboard import Journal
from shared.blackboard.ledger import Amounts
from shared.replay.journal import MemoryJournal
from shared.replay.whole.stops import MISS, BranchStopped
from shared.replay.works import Entry

_making: ContextVar[str] = ContextVar("making", default="")


def place_now() -> str:
    """Return the name of the entry that is being made."""
    return _making.get()


class BranchJournal(MemoryJournal):
    """The entries of one work."""

    async def open(self) -> Journal:
        """Begin a try."""
        self.epoch += 1
        return self

    @contextmanager
    def making(self, name: str) -> Iterator[None]:
        """Note that the entry of this name is being made."""
        token = _making.set(name)
        try:
            yield
        finally:
            _making.reset(token)

    def made(self, at: datetime) -> list[Entry]:
        """Return the entries in the form of a record."""
        named = self.entries().items()
        return [Entry(name, entry, self.about(name), self.epoch, at, Amounts()) for name, entry in named]


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
