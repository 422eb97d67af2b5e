"""The seam to whoever keeps account of money: told of each request before it is made and after it was answered."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from schemas.budget import Usage
from shared.llm.prices import Price


class Demand(NamedTuple):
    """One request that is about to be made, a repeated one and one to another endpoint counted by itself."""

    model: str
    request_bytes: int
    """Of messages and tools. No tokenizer makes more tokens than bytes; most make a quarter."""
    max_output_tokens: int
    price: Price
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    """Waits for some seconds without keeping others from the endpoint."""


class Permit(Protocol):
    """One request that may be made."""

    @property
    def max_output_tokens(self) -> int:
        """How long the reply may be: as demanded, or less."""
        ...

    def settle(self, usage: Usage) -> None:
        """It was answered and took this much; nothing, when the endpoint refused it."""
        ...


Spending = Callable[[Demand], AbstractAsyncContextManager[Permit]]
"""Entered around each request: `async with spending(demand) as permit`. Raises where the request must not be made.

A permit that is left without being settled belongs to a request of which nobody knows what it cost: it timed out, its
connection broke, or its caller was cancelled. It may have cost all that was demanded.
"""


@dataclass(frozen=True, slots=True)
class _Free:
    max_output_tokens: int

    def settle(self, usage: Usage) -> None:
        """Nobody keeps account."""


@asynccontextmanager
async def unlimited(demand: Demand) -> AsyncIterator[Permit]:
    """Lets everything be asked."""
    yield _Free(demand.max_output_tokens)
