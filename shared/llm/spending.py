"""Interface to budget accounting, called before each request and after its answer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from schemas.budget import Usage
from shared.llm.prices import Price


class Demand(NamedTuple):
    """One request about to be made. Retries and requests to another endpoint are separate demands."""

    model: str
    request_bytes: int
    """Bytes of messages and tools. No tokenizer makes more tokens than bytes; most make a quarter."""
    max_output_tokens: int
    price: Price
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    """Sleeps for some seconds without occupying a seat of the endpoint."""


class Permit(Protocol):
    """Permit for one request."""

    @property
    def max_output_tokens(self) -> int:
        """Maximum tokens of the reply: as demanded, or fewer."""
        ...

    def settle(self, usage: Usage) -> None:
        """Record the usage of the answered request; zero if the endpoint rejected it."""
        ...


Spending = Callable[[Demand], AbstractAsyncContextManager[Permit]]
"""Entered around each request: `async with spending(demand) as permit`. Raises if the request must not be made.

A permit left unsettled belongs to a request of unknown cost: it timed out, its connection broke, or its caller was
cancelled. It may have cost the full demand.
"""


@dataclass(frozen=True, slots=True)
class _Free:
    max_output_tokens: int

    def settle(self, usage: Usage) -> None:
        """Do nothing."""


@asynccontextmanager
async def unlimited(demand: Demand) -> AsyncIterator[Permit]:
    """Permit every request."""
    yield _Free(demand.max_output_tokens)
