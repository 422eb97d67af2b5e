"""One call over a chain of endpoints: the first that answers.

An endpoint that is free within a second is waited for; else the next one is asked, and also after a failure. When none
may be asked, the one that is free first is waited for, as long as there is time: that is back-pressure, no error.
When all have failed, all are asked again after a pause, in `ROUNDS` rounds at most; a round in which they were only
too busy does not count.

A request first takes one of the endpoint's seats, then reserves what it may cost, then passes the breaker and the
limits a minute; whatever it has to wait for there, it waits for without the seat. What was not sent costs nothing.
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
from shared.llm.gate import Closed, Gate
from shared.llm.reply import Reply, Vectors
from shared.llm.request import CONTEXT, FILTERED, GARBLED, QUOTA, REFUSAL, NotAnswered
from shared.llm.seats import Seat
from shared.llm.spending import Demand, Permit, Spending
from shared.llm.usage import estimated_tokens
from shared.resilience import Outcome

T = TypeVar("T", Reply, Vectors)


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """What is asked, of whichever endpoint answers."""

    demand: Callable[[Endpoint], Demand]
    """What one request there may cost."""
    spending: Spending
    send: Callable[[Endpoint, int, float], Awaitable[T]]
    """One request there, for a reply of so many tokens at most, within so many seconds. Raises NotAnswered."""
    tokens: int
    """What it will probably take."""


UNAVAILABLE = "model_unavailable"
REFUSED = "model_refused"
NAMED = {QUOTA, CONTEXT, FILTERED, REFUSAL, GARBLED}
"""Causes that a run fails with under their own name."""

ROUNDS = 3
"""How often each endpoint may fail for one call."""

SOON = 1.0
"""Seconds that an endpoint is waited for although there is another."""

FRAME = 4_096
"""Bytes of an answer that are around the reply."""

PAUSE = 0.5
"""Seconds: the longest pause after the first round; it doubles with each."""

LONGEST_PAUSE = 8.0


class Failover:
    """One call. `within`: the seconds there are for it, `longest`: for one request."""

    def __init__(self, chain: Sequence[Gate], within: float, longest: float) -> None:
        self._chain = chain
        self._ends = time.monotonic() + within
        self._longest = longest
        self._failures: dict[str, NotAnswered] = {}
        """Of this round, by endpoint."""
        self._last: NotAnswered | None = None
        """Of all rounds: why this is not over yet."""

    @property
    def _left(self) -> float:
        return self._ends - time.monotonic()

    async def ask(self, call: Call[T]) -> T:
        """The answer.

        Raises RetryableError `model_unavailable`, TerminalError `model_refused`, and Redis's errors.
        """
        rounds = failed = 0
        while not (answers := await self._round(call)):
            failed += any(failure.outcome is Outcome.FAILED for failure in self._failures.values())
            if failed == ROUNDS or self._left <= 0 or self._hopeless:
                raise self._given_up()
            await asyncio.sleep(random.uniform(0, min(PAUSE * 2**rounds, LONGEST_PAUSE)))  # noqa: S311 -- jitter
            rounds += 1
        return answers[0]

    async def _round(self, call: Call[T]) -> list[T]:
        """Ask each that may be asked until one answers: its answer, or nothing."""
        closed: dict[Gate, float] = {}
        self._failures.clear()
        for gate in self._chain:
            try:
                return [await self._at(gate, call, patient=len(self._chain) == 1)]
            except Closed as wait:
                closed[gate] = wait.wait
            except NotAnswered as failure:
                self._note(gate, failure)
        if len(closed) < len(self._chain):
            return []
        return await self._wait_for(min(closed, key=lambda gate: closed[gate]), call)

    async def _wait_for(self, gate: Gate, call: Call[T]) -> list[T]:
        """Ask the one that is free first; nobody else can be asked earlier."""
        try:
            return [await self._at(gate, call, patient=True)]
        except NotAnswered as failure:
            self._note(gate, failure)
            return []
        except Closed as closed:
            message = f"no model may be asked for {closed.wait:.0f} s ({closed})"
            raise RetryableError(message, after=closed.wait, code=UNAVAILABLE) from None

    async def _at(self, gate: Gate, call: Call[T], *, patient: bool) -> T:
        async with self._seated(gate) as seat:
            demand = call.demand(gate.endpoint)._replace(pause=seat.aside)
            try:
                async with call.spending(demand) as permit:
                    return await self._charged(gate, call, permit, max(0.0, self._left if patient else SOON), seat)
            except TerminalError as over:
                raise self._with_cause(over) from over

    @asynccontextmanager
    async def _seated(self, gate: Gate) -> AsyncIterator[Seat]:
        """Wait for a seat for as long as the call has. Raises Closed when none became free."""
        async with AsyncExitStack() as held:
            try:
                async with asyncio.timeout(max(0.0, self._left)):
                    seat = await held.enter_async_context(gate.seats.seat())
            except TimeoutError:
                raise Closed(0.0, "every connection is in use") from None
            yield seat

    async def _charged(self, gate: Gate, call: Call[T], permit: Permit, patience: float, seat: Seat) -> T:
        sent = False

        async def once() -> tuple[T, int]:
            nonlocal sent
            sent = True
            answer = await call.send(gate.endpoint, permit.max_output_tokens, self._seconds(gate))
            permit.settle(answer.usage)
            return answer, answer.usage.prompt_tokens + answer.usage.completion_tokens

        try:
            return await gate.through(once, call.tokens, patience, seat.aside)
        except NotAnswered as failure:
            if failure.free:
                permit.settle(Usage())
            elif (came := estimated_tokens(failure.received - FRAME)) > permit.max_output_tokens:
                permit.settle(_flooded(call.demand(gate.endpoint), came))
            elif failure.usage is not None:
                permit.settle(failure.usage)
            raise
        finally:
            if not sent:
                permit.settle(Usage())

    def _seconds(self, gate: Gate) -> float:
        """For one request: half of what is left while there is another endpoint that could answer in the other half."""
        share = self._left if gate is self._chain[-1] else self._left / 2
        return max(0.1, min(self._longest, share))

    def _note(self, gate: Gate, failure: NotAnswered) -> None:
        self._failures[gate.endpoint.name] = self._last = failure
        if not failure.elsewhere:
            code = failure.code if failure.code in NAMED else REFUSED
            raise TerminalError(f"the model endpoint refused the request ({failure})", code=code) from failure

    def _with_cause(self, over: TerminalError) -> TerminalError:
        """What ends the call, with what made it ask again: else the cause of a used-up budget is lost."""
        if self._last is None:
            return over
        code = GARBLED if self._last.code == GARBLED else over.code
        return TerminalError(f"{over}; the request before: {self._last}", code=code)

    @property
    def _hopeless(self) -> bool:
        """Whether all refuse, and will again."""
        return all(gate.endpoint.name in self._failures for gate in self._chain) and all(
            failure.outcome is Outcome.WORKED and not failure.hold for failure in self._failures.values()
        )

    def _given_up(self) -> RetryableError | TerminalError:
        said = ", ".join(f"{name}: {failure.code}" for name, failure in self._failures.items())
        said += "".join(f"; {name} says: {each.words}" for name, each in self._failures.items() if each.words)
        codes = {failure.code for failure in self._failures.values()}
        named = codes.pop() if len(codes) == 1 and codes <= NAMED else None
        if self._hopeless or named == GARBLED:
            return TerminalError(f"every model endpoint refused the request ({said})", code=named or REFUSED)
        return RetryableError(f"no model endpoint answered ({said})", after=2.0, code=UNAVAILABLE)


def _flooded(demand: Demand, tokens: int) -> Usage:
    """What counts when more came than was asked for, and nothing that can be read: more than was reserved."""
    return Usage(
        prompt_tokens=demand.request_bytes,
        completion_tokens=tokens,
        cost_usd=demand.price.cost_usd(demand.request_bytes, tokens),
        model_calls=1,
        estimated=1,
    )
