"""Breaker and per-minute limits of a model endpoint, shared by all replicas."""

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
from shared.llm.failure import NotAnswered
from shared.llm.seats import Seats
from shared.resilience import AdmissionResult, Breaker, Buckets, Outcome, Rate
from shared.telemetry.metrics import Metrics

T = TypeVar("T")

Pause: TypeAlias = Callable[[float], Awaitable[None]]

log = structlog.get_logger()


class EndpointUnavailable(Exception):
    """The endpoint is unavailable for longer than the caller's patience."""

    def __init__(self, wait: float, why: str) -> None:
        super().__init__(why)
        self.wait = wait


class EndpointLimiter:
    """Limits the requests to one endpoint: seats, breaker, and requests and tokens per minute."""

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
        """Send once admitted. `send` returns the answer and its tokens; `tokens`: their estimate, taken in advance.

        Raises EndpointUnavailable if the wait would exceed `patience` seconds, NotAnswered, and Redis's errors unless
        the request was already sent. `pause` sleeps.
        """
        admission = await self._enter(tokens, patience, pause)
        outcome, hold, result = Outcome.UNKNOWN, 0.0, "given_up"
        try:
            answer, used = await send()
            outcome, result = Outcome.WORKED, "ok"
        except NotAnswered as failure:
            outcome, hold, result = failure.outcome, failure.hold, failure.code
            log.warning(
                "model_request_failed",
                dependency=self.endpoint.name,
                code=failure.code,
                reason=failure.words,
                hold=failure.hold,
            )
            raise
        finally:
            self._metrics.model_requests.labels(self._label, self._metrics.error(result)).inc()
            await self._leave(admission, outcome, hold)
        await self._correct(used - tokens)
        return answer

    async def _enter(self, tokens: int, patience: float, pause: Pause) -> AdmissionResult:
        """Return once the breaker admits the request and its tokens are taken from the buckets."""
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

    async def _take(self, admission: AdmissionResult, tokens: int, patience: float) -> float:
        """Take from the buckets and return the seconds to wait for the refill."""
        amounts = [1 if kind == "requests" else tokens for kind in self._limited]
        taken = False
        try:
            taken, wait = await self._buckets.take(amounts, patience)
        finally:  # also when cancelled: an abandoned probe would block all other calls
            if not taken:
                await self._leave(admission, Outcome.UNKNOWN, 0.0)
        if not taken:
            raise EndpointUnavailable(wait, "limit a minute")
        return wait

    async def _leave(self, admission: AdmissionResult, outcome: Outcome, hold: float) -> None:
        """Report to the breaker. An outage of Redis is ignored: it must not lose a reply that was paid for."""
        if outcome is Outcome.UNKNOWN and not admission.token:
            return
        with suppress(*OUTAGES):
            await self._breaker.report(admission, outcome, hold=hold)

    async def _correct(self, tokens: int) -> None:
        if "tokens" in self._limited:
            with suppress(*OUTAGES):
                await self._buckets.correct([0 if kind == "requests" else tokens for kind in self._limited])

    def _changed(self, change: str) -> None:
        log.warning("circuit_breaker_changed", dependency=self.endpoint.name, change=change)
        self._metrics.breaker_changes.labels(self._label, change).inc()


async def _wait(wait: float, left: float, why: str, pause: Pause) -> None:
    if wait > left:
        raise EndpointUnavailable(wait, why)
    await pause(wait + random.uniform(0, 0.05))  # noqa: S311 -- jitter
