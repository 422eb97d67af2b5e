"""Failover of one call along a chain of endpoints.

The call waits for an endpoint that is available within a second; otherwise, and after a failure, it moves to the next.
If none is available, it waits for the first to become so, as long as there is time: back-pressure, not an error. If all
have failed, it retries all after a pause, in at most `ROUNDS` rounds; rounds in which all were only busy do not count.

A request first takes one of the endpoint's seats, then reserves its maximum cost, then passes the breaker and the
per-minute limits; it gives up the seat while it waits for those. A request that was not sent costs nothing.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from schemas.budget import Usage
from shared.errors import RetryableError, TerminalError
from shared.llm.endpoints import Endpoint
from shared.llm.failure import CONTEXT, FILTERED, GARBLED, QUOTA, REFUSAL, NotAnswered
from shared.llm.limiter import EndpointLimiter, EndpointUnavailable
from shared.llm.reply import Reply, Vectors
from shared.llm.seats import Seat
from shared.llm.spending import Demand, Permit, Spending
from shared.llm.usage import estimated_tokens
from shared.resilience import Outcome

T = TypeVar("T", Reply, Vectors)


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One call, for any endpoint of the chain."""

    demand: Callable[[Endpoint], Demand]
    """Maximum cost of one request to an endpoint."""
    spending: Spending
    send: Callable[[Endpoint, int, float], Awaitable[T]]
    """Sends one request to an endpoint, given the maximum tokens of the reply and seconds. Raises NotAnswered."""
    tokens: int
    """Estimated tokens of the call."""


UNAVAILABLE = "model_unavailable"
REFUSED = "model_refused"
NAMED = {QUOTA, CONTEXT, FILTERED, REFUSAL, GARBLED}
"""Codes that a run fails with unchanged."""

ROUNDS = 3
"""Rounds of failures per call."""

SOON = 1.0
"""Seconds to wait for an endpoint while there is another."""

FRAME = 4_096
"""Bytes of an answer's JSON around the reply."""

PAUSE = 0.5
"""Seconds of pause after the first round, at most; doubles each round."""

LONGEST_PAUSE = 8.0


class Failover:
    """One call over a chain. `within`: seconds for the call; `longest`: seconds for one request."""

    def __init__(self, chain: Sequence[EndpointLimiter], within: float, longest: float) -> None:
        self._chain = chain
        self._ends = time.monotonic() + within
        self._longest = longest
        self._failures: dict[str, NotAnswered] = {}
        """Failures of this round, by endpoint."""
        self._last: NotAnswered | None = None
        """Last failure of all rounds."""

    @property
    def _left(self) -> float:
        return self._ends - time.monotonic()

    async def ask(self, call: Call[T]) -> T:
        """Return the answer of the first endpoint that gives one.

        Raises RetryableError `model_unavailable`, TerminalError `model_refused`, and Redis's errors.
        """
        rounds = failed = 0
        while not (answers := await self._round(call)):
            failed += any(failure.outcome is Outcome.FAILED for failure in self._failures.values())
            if failed == ROUNDS or self._left <= 0 or self._rejected_by_all:
                raise self._final_error()
            await asyncio.sleep(random.uniform(0, min(PAUSE * 2**rounds, LONGEST_PAUSE)))  # noqa: S311 -- jitter
            rounds += 1
        return answers[0]

    async def _round(self, call: Call[T]) -> list[T]:
        """Try each available endpoint; return a list with the first answer, or an empty list."""
        unavailable: dict[EndpointLimiter, float] = {}
        self._failures.clear()
        for limiter in self._chain:
            try:
                return [await self._at(limiter, call, patient=len(self._chain) == 1)]
            except EndpointUnavailable as wait:
                unavailable[limiter] = wait.wait
            except NotAnswered as failure:
                self._note(limiter, failure)
        if len(unavailable) < len(self._chain):
            return []
        return await self._wait_for(min(unavailable, key=lambda limiter: unavailable[limiter]), call)

    async def _wait_for(self, limiter: EndpointLimiter, call: Call[T]) -> list[T]:
        """Wait for the endpoint that is available first."""
        try:
            return [await self._at(limiter, call, patient=True)]
        except NotAnswered as failure:
            self._note(limiter, failure)
            return []
        except EndpointUnavailable as unavailable:
            message = f"no model endpoint is available for {unavailable.wait:.0f} s ({unavailable})"
            raise RetryableError(message, after=unavailable.wait, code=UNAVAILABLE) from None

    async def _at(self, limiter: EndpointLimiter, call: Call[T], *, patient: bool) -> T:
        async with self._seated(limiter) as seat:
            demand = call.demand(limiter.endpoint)._replace(pause=seat.aside)
            try:
                async with call.spending(demand) as permit:
                    return await self._charged(limiter, call, permit, max(0.0, self._left if patient else SOON), seat)
            except TerminalError as over:
                raise self._with_cause(over) from over

    @asynccontextmanager
    async def _seated(self, limiter: EndpointLimiter) -> AsyncIterator[Seat]:
        """Wait for a seat within the call's time. Raises EndpointUnavailable if none became free."""
        async with AsyncExitStack() as held:
            try:
                async with asyncio.timeout(max(0.0, self._left)):
                    seat = await held.enter_async_context(limiter.seats.seat())
            except TimeoutError:
                raise EndpointUnavailable(0.0, "every connection is in use") from None
            yield seat

    async def _charged(self, limiter: EndpointLimiter, call: Call[T], permit: Permit, patience: float, seat: Seat) -> T:
        sent = False

        async def once() -> tuple[T, int]:
            nonlocal sent
            sent = True
            answer = await call.send(limiter.endpoint, permit.max_output_tokens, self._seconds(limiter))
            permit.settle(answer.usage)
            return answer, answer.usage.prompt_tokens + answer.usage.completion_tokens

        try:
            return await limiter.through(once, call.tokens, patience, seat.aside)
        except NotAnswered as failure:
            if failure.free:
                permit.settle(Usage())
            elif (came := estimated_tokens(failure.received - FRAME)) > permit.max_output_tokens:
                permit.settle(_flooded(call.demand(limiter.endpoint), came))
            elif failure.usage is not None:
                permit.settle(failure.usage)
            raise
        finally:
            if not sent:
                permit.settle(Usage())

    def _seconds(self, limiter: EndpointLimiter) -> float:
        """Return the seconds for one request: half the time left while there is another endpoint, else all of it."""
        share = self._left if limiter is self._chain[-1] else self._left / 2
        return max(0.1, min(self._longest, share))

    def _note(self, limiter: EndpointLimiter, failure: NotAnswered) -> None:
        self._failures[limiter.endpoint.name] = self._last = failure
        if not failure.elsewhere:
            code = failure.code if failure.code in NAMED else REFUSED
            raise TerminalError(f"the model endpoint rejected the request ({failure})", code=code) from failure

    def _with_cause(self, over: TerminalError) -> TerminalError:
        """Add the last failure to an error that ends the call, as it explains a budget used up by retries."""
        if self._last is None:
            return over
        code = GARBLED if self._last.code == GARBLED else over.code
        return TerminalError(f"{over}; the request before: {self._last}", code=code)

    @property
    def _rejected_by_all(self) -> bool:
        """True if all endpoints reject the request and will do so again."""
        return all(limiter.endpoint.name in self._failures for limiter in self._chain) and all(
            failure.outcome is Outcome.WORKED and not failure.hold for failure in self._failures.values()
        )

    def _final_error(self) -> RetryableError | TerminalError:
        causes = ", ".join(f"{name}: {failure.code}" for name, failure in self._failures.items())
        causes += "".join(f"; {name} says: {each.words}" for name, each in self._failures.items() if each.words)
        codes = {failure.code for failure in self._failures.values()}
        named = codes.pop() if len(codes) == 1 and codes <= NAMED else None
        if self._rejected_by_all or named == GARBLED:
            return TerminalError(f"every model endpoint rejected the request ({causes})", code=named or REFUSED)
        return RetryableError(f"no model endpoint answered ({causes})", after=2.0, code=UNAVAILABLE)


def _flooded(demand: Demand, tokens: int) -> Usage:
    """Return the usage of an unreadable answer longer than requested, which exceeds the reservation."""
    return Usage(
        prompt_tokens=demand.request_bytes,
        completion_tokens=tokens,
        cost_usd=demand.price.cost_usd(demand.request_bytes, tokens),
        model_calls=1,
        estimated=1,
    )
