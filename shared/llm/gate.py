"""What stands before an endpoint: its breaker and its limits a minute, which all replicas share."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeAlias, TypeVar

import structlog

from shared.blackboard import OUTAGES
from shared.blackboard.scripts import Scripts
from shared.llm.endpoints import Endpoint
from shared.llm.request import NotAnswered
from shared.llm.seats import Seats
from shared.resilience import Admission, Breaker, Buckets, Outcome, Rate
from shared.telemetry.metrics import Metrics

T = TypeVar("T")

Pause: TypeAlias = Callable[[float], Awaitable[None]]

log = structlog.get_logger()


class Closed(Exception):
    """Nobody is let through for longer than the caller's patience."""

    def __init__(self, wait: float, why: str) -> None:
        super().__init__(why)
        self.wait = wait


class Gate:
    """The way to one endpoint."""

    def __init__(self, endpoint: Endpoint, scripts: Scripts, metrics: Metrics, lease: float, connections: int) -> None:
        self.endpoint = endpoint
        self.seats = Seats(connections)
        self._metrics = metrics
        self._label = metrics.model(endpoint.name)
        self._breaker = Breaker(scripts, f"model:{endpoint.name}", lease, self._changed)
        limits = {"requests": endpoint.requests_per_minute, "tokens": endpoint.tokens_per_minute}
        self._limited = [kind for kind, most in limits.items() if most]
        rates = {f"model:{endpoint.name}:{kind}": Rate.per_minute(limits[kind]) for kind in self._limited}
        self._buckets = Buckets(scripts, rates)

    async def through(
        self, send: Callable[[], Awaitable[tuple[T, int]]], tokens: int, patience: float, pause: Pause = asyncio.sleep
    ) -> T:
        """Send when it may be sent; `send` says also how many tokens it took, `tokens` how many that may be.

        Raises Closed when it would have to wait for longer than so many seconds, NotAnswered, and Redis's errors as
        long as nothing was sent. `pause` is how it waits.
        """
        admission = await self._enter(tokens, patience, pause)
        outcome, hold, result = Outcome.UNKNOWN, 0.0, "given_up"
        try:
            answer, used = await send()
            outcome, result = Outcome.WORKED, "ok"
        except NotAnswered as failure:
            outcome, hold, result = failure.outcome, failure.hold, failure.code
            log.warning(
                "a model did not answer",
                endpoint=self.endpoint.name,
                why=failure.code,
                words=failure.words,
                hold=failure.hold,
            )
            raise
        finally:
            self._metrics.model_requests.labels(self._label, self._metrics.error(result)).inc()
            await self._leave(admission, outcome, hold)
        await self._correct(used - tokens)
        return answer

    async def _enter(self, tokens: int, patience: float, pause: Pause) -> Admission:
        """Return once admitted by the breaker, with what the request needs taken from the buckets."""
        began, taken = time.monotonic(), False
        while True:
            admission = await self._breaker.admit()
            left = began + patience - time.monotonic()
            if not admission.granted:
                await _wait(admission.wait, left, admission.state, pause)
                continue
            wait = 0.0 if taken else await self._take(admission, tokens, left)
            if not wait:
                self._metrics.model_waits.labels(self._label).observe(time.monotonic() - began)
                return admission
            taken = True
            await self._leave(admission, Outcome.UNKNOWN, 0.0)
            await pause(wait)

    async def _take(self, admission: Admission, tokens: int, patience: float) -> float:
        """Seconds to wait before what was taken is there."""
        amounts = [1 if kind == "requests" else tokens for kind in self._limited]
        taken = False
        try:
            taken, wait = await self._buckets.take(amounts, patience)
        finally:  # also when cancelled: a probe that nobody makes would keep all others waiting
            if not taken:
                await self._leave(admission, Outcome.UNKNOWN, 0.0)
        if not taken:
            raise Closed(wait, "limit a minute")
        return wait

    async def _leave(self, admission: Admission, outcome: Outcome, hold: float) -> None:
        """Redis may be away by now: a reply that was paid for is worth more than what the breaker learns of it."""
        if outcome is Outcome.UNKNOWN and not admission.token:
            return
        with suppress(*OUTAGES):
            await self._breaker.report(admission, outcome, hold=hold)

    async def _correct(self, tokens: int) -> None:
        if "tokens" in self._limited:
            with suppress(*OUTAGES):
                await self._buckets.correct([0 if kind == "requests" else tokens for kind in self._limited])

    def _changed(self, change: str) -> None:
        log.warning("the breaker of a model has changed", endpoint=self.endpoint.name, change=change)
        self._metrics.breaker_changes.labels(self._label, change).inc()


async def _wait(wait: float, left: float, why: str, pause: Pause) -> None:
    if wait > left:
        raise Closed(wait, why)
    await pause(wait + random.uniform(0, 0.05))  # noqa: S311 -- so that not all ask at once
