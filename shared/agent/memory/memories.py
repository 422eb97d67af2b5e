"""The memories of all tenants, as agents recall them: what was asked, and what was found."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple, Protocol

import structlog

from schemas.memory import MemoryKind, Recalled
from shared.archive.outages import ArchiveUnavailable
from shared.errors import RetryableError, TerminalError
from shared.llm import Models, Spending, Vectors
from shared.memory import FAILURES, Meaning, MemoryStore, Wanted, recall
from shared.memory.embedding import Embedder, LocalEmbedder, RemoteEmbedder

WITHIN = 3.0
"""Seconds a recall may take. A step works without memories rather than wait for them."""

ROOM = 100_000
"""Tokens that the store may return: what is shown is cut to size after that."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Asked:
    """One recall."""

    text: str
    most: int
    kinds: tuple[MemoryKind, ...] = ()
    without_runs: tuple[str, ...] = ()
    least: float = 0.0
    """As in `Wanted`."""


class Found(NamedTuple):
    """The memories that were found, best first."""

    memories: list[Recalled]
    vectors: Vectors | None = None
    """Answer of the endpoint that embedded the question; None: nothing was paid."""


class Memories(Protocol):
    """Source of memories. Every call raises one of `FAILURES` if there is none now."""

    async def any(self, tenant: str) -> bool:
        """Return True if the tenant has memories."""
        ...

    async def recall(self, tenant: str, asked: Asked, spending: Spending) -> Found:
        """Return the memories that serve a question. `spending`: entered around a request that is paid."""
        ...

    async def used(self, tenant: str, ids: Sequence[str]) -> None:
        """Count a use of each of these memories."""
        ...


@dataclass(frozen=True, slots=True)
class StoredMemories:
    """The memories in Postgres."""

    store: MemoryStore
    models: Models
    local: LocalEmbedder | None = None
    """Model for the vectors of questions; None: the endpoint's, if there is one."""

    async def any(self, tenant: str) -> bool:
        """Return True if the tenant has memories."""
        try:
            async with asyncio.timeout(WITHIN):
                return await self.store.any(tenant)
        except TimeoutError:
            raise _slow() from None

    async def recall(self, tenant: str, asked: Asked, spending: Spending) -> Found:
        """Return the memories that serve a question, by words alone if its vector cannot be had."""
        meaning, vectors = await self._meaning(asked.text, spending)
        wanted = Wanted(asked.most, ROOM, asked.kinds, asked.without_runs, asked.least)
        try:
            async with asyncio.timeout(WITHIN):
                found = await recall(self.store, tenant, asked.text, datetime.now(UTC), meaning=meaning, wanted=wanted)
        except TimeoutError:
            raise _slow() from None
        return Found(found, vectors)

    async def used(self, tenant: str, ids: Sequence[str]) -> None:
        """Count a use of each of these memories. Skipped while Postgres does not answer."""
        with suppress(TimeoutError, *FAILURES):
            async with asyncio.timeout(WITHIN):
                await self.store.used(tenant, ids, datetime.now(UTC))

    async def keep(self) -> None:
        """Close the connections when the service ends."""
        try:
            await asyncio.Event().wait()
        finally:
            await self.store.close()

    async def _meaning(self, text: str, spending: Spending) -> tuple[Meaning | None, Vectors | None]:
        paid: list[Vectors] = []
        embedder = self.local or self._endpoint(paid, spending)
        if embedder is None or not text.strip():
            return None, None
        try:
            (vector,) = await embedder.embed([text[:4_000]])
        except (RetryableError, TerminalError) as failure:  # an endpoint that fails, or a budget that is used up
            log.warning("question_not_embedded", model=embedder.name, error=failure.code)
            return None, None
        return Meaning(embedder.name, vector), next(iter(paid), None)

    def _endpoint(self, paid: list[Vectors], spending: Spending) -> Embedder | None:
        """Return the embedder of the endpoint, which keeps what was paid; None without one."""
        if not (model := self.models.embedding_model):
            return None
        embed = partial(self.models.embed, within=WITHIN, spending=spending)

        async def call(texts: Sequence[str]) -> Vectors:
            paid.append(await embed(texts))
            return paid[-1]

        return RemoteEmbedder(model, call)


def _slow() -> ArchiveUnavailable:
    return ArchiveUnavailable(f"no answer within {WITHIN:.0f} s")
