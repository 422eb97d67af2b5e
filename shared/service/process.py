"""Wiring of a service's process: connections, consumer, health, metrics, signals."""

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import structlog
from aiokafka import TopicPartition
from faststream.asgi import AsgiFastStream
from faststream.kafka import KafkaBroker
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import CollectorRegistry, ProcessCollector, make_asgi_app

from shared import blackboard, bus
from shared.archive import BlobStore
from shared.blackboard import Client, RunStore, Sentinel
from shared.blackboard.attempts import Attempts
from shared.bus import Deliverer, Delivery, TableConsumer
from shared.bus.admin import follow_skips
from shared.bus.groups import table_of
from shared.bus.held import Held
from shared.config import ServiceSettings, Settings
from shared.errors import WaggleError
from shared.service.gauges import export_gauges, held_partitions
from shared.service.http import check_dependencies, health_routes, run_http
from shared.service.observed import Observed, check_of, consumer_of
from shared.service.policies import load_policies, refusing_to_start
from shared.service.warm_up import WarmUp
from shared.system.urls import bypass_loopback
from shared.telemetry.export import start_tracing, stop_tracing
from shared.telemetry.logs import SELDOM, start_logging
from shared.telemetry.metrics import Metrics
from shared.telemetry.redaction import remember, secrets_in, secrets_of
from shared.telemetry.series import BLACKBOARD_WHOLE, PARTITION_HELD

log = structlog.get_logger()

S = TypeVar("S", bound=ServiceSettings)

LONGEST_PAUSE = 4.0
"""Longest pause, in seconds, before a background task that keeps failing is restarted."""

DEAF_AFTER = 60.0
"""Seconds without a fetch, although Kafka answers otherwise, after which a consumer counts as dead."""

GRACE = 15.0
"""Seconds that a stopping service allows for work in progress."""


@dataclass(slots=True)
class Parts:
    """Parts of a service. `connect` makes them once, at start."""

    name: str
    settings: Settings
    registry: CollectorRegistry
    metrics: Metrics
    tracing: TracerProvider
    broker: KafkaBroker
    sentinel: Sentinel
    runs: RunStore
    archive: BlobStore
    own: tuple[ServiceSettings, ...] = ()
    """Settings of this service alone."""
    started: bool = False
    stopping: bool = False
    background: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def redis(self) -> Client:
        """The blackboard's connection."""
        return self.sentinel.client

    def own_settings(self, kind: type[S]) -> S:
        """Return the service's own settings of this type."""
        return next(each for each in self.own if isinstance(each, kind))

    async def healthy(self) -> bool:
        """Return True if the service can work: started, not stopping, Kafka reachable, the blackboard usable."""
        if self.stopping or not self.started:
            return False
        return await self.sentinel.refresh() and bool(await self.broker.ping(5.0))

    async def reachable(self) -> bool:
        """Return True if Kafka and Redis answer, which suffices for a service that only accepts and shows."""
        if self.stopping or not self.started:
            return False
        await self.sentinel.refresh()
        return self.sentinel.reachable and bool(await self.broker.ping(5.0))

    def begin(self, *work: Callable[[], Awaitable[None]]) -> None:
        """Run work in the background until the service is closed."""
        self.background.extend(asyncio.create_task(_keep_running(each)) for each in work)

    async def close(self) -> None:
        """Stop background work and close the connections."""
        for task in self.background:
            task.cancel()
        if self.background:
            await asyncio.wait(self.background, timeout=GRACE)
        await self.sentinel.close()
        await self.archive.close()
        await asyncio.to_thread(stop_tracing, self.tracing)


def connect(name: str, settings: Settings, *own: ServiceSettings, relist: float = bus.RELIST) -> Parts:
    """Set the process up: policies, logs, traces, and clients that connect when they are first used.

    `own`: settings of this service alone. `relist`: as in `bus.connect`. Hides the secrets of the whole
    environment, also those of other services. Exits with a sentence for each policy file that cannot be used.
    """
    with refusing_to_start():
        load_policies(settings, *own)
    bypass_loopback(os.environ)
    secrets = secrets_of(settings, *own) | secrets_in(os.environ)
    remember(secrets)
    start_logging(settings.log_level, name, secrets)
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    metrics = Metrics(registry)
    sentinel = Sentinel(settings.redis, blackboard.tls(settings))
    return Parts(
        name=name,
        settings=settings,
        registry=registry,
        metrics=metrics,
        tracing=start_tracing(name, registry, secrets),
        broker=bus.connect(settings, name, relist=relist),
        sentinel=sentinel,
        runs=RunStore(sentinel, settings.state_ttl, settings.session_ttl),
        archive=BlobStore(settings.postgres, settings.max_attachment_bytes),
        own=own,
    )


async def no_reply(record: object, error: WaggleError) -> None:
    """Ignore a dead letter: its sender awaits no reply."""


def serve(
    parts: Parts,
    topics: Sequence[str],
    handle: Callable[[Delivery], Awaitable[None]],
    *,
    on_dead: Callable[[object, WaggleError], Awaitable[None]] = no_reply,
    before_ready: Callable[[], Awaitable[None]] | None = None,
    background: Sequence[Callable[[], Awaitable[None]]] = (),
    when: Sequence[Callable[[], Awaitable[None]]] = (),
    warm_up: Sequence[Callable[[], None]] = (),
    observed: Observed | None = None,
) -> None:
    """Consume the topics with `handle` until SIGTERM or SIGINT.

    `background` runs alongside, without end. Before a message is handled, the blackboard must be usable, `warm_up` must
    have been done in a thread, and each of `when` must return.
    """
    warming = WarmUp(*warm_up)
    deliver = _deliverer(parts, handle, on_dead, (parts.sentinel.wait_ready, warming.wait, *when))
    prefix = parts.settings.topic_prefix
    names, group = [prefix + topic for topic in topics], prefix + parts.name
    consumer = consumer_of(names, group, deliver, parts.settings, observed)
    export_gauges(consumer, parts.metrics)
    watch_blackboard(parts)

    async def start_up() -> None:
        consumer.start()
        parts.begin(parts.sentinel.watch, partial(follow_skips, parts.settings, consumer.reader), *background)
        if before_ready is not None:
            await _keep_running(before_ready)
        parts.started = True
        parts.begin(warming.run)
        log.info("started", topics=names)

    async def shut_down() -> None:
        parts.stopping = True
        await consumer.stop(GRACE)

    async def healthy() -> bool:
        return consumer.joined and await parts.healthy()

    async def alive() -> bool:
        return consumer.seconds_since_fetch < DEAF_AFTER or not await parts.broker.ping(5.0)

    _run(parts, healthy, start_up, shut_down, lambda: consumer.held, alive, check_of(group, observed))


def _deliverer(
    parts: Parts,
    handle: Callable[[Delivery], Awaitable[None]],
    on_dead: Callable[[object, WaggleError], Awaitable[None]],
    when: Sequence[Callable[[], Awaitable[None]]],
) -> Deliverer:
    async def ready() -> None:
        for each in when:
            await each()

    return Deliverer(
        broker=parts.broker,
        service=parts.name,
        prefix=parts.settings.topic_prefix,
        handle=handle,
        on_dead=on_dead,
        outages=(*bus.OUTAGES, *blackboard.OUTAGES),
        ready=ready,
        metrics=parts.metrics,
        table=table_of(parts.name),
        attempts=Attempts(parts.redis),
    )


def watch_blackboard(parts: Parts) -> None:
    """Export a gauge that is 1 while the blackboard is usable, as far as this service knows."""
    parts.metrics.watch(*BLACKBOARD_WHOLE, lambda: {(): float(parts.sentinel.is_ready)})


def serve_table(
    parts: Parts,
    consumer: TableConsumer,
    *,
    background: Sequence[Callable[[], Awaitable[None]]],
    opening: Callable[[], Awaitable[None]],
    closing: Callable[[], Awaitable[None]],
) -> None:
    """Maintain a table of a compacted topic, and run the background work on it, until SIGTERM or SIGINT."""

    async def start_up() -> None:
        await _keep_running(opening)
        parts.begin(WarmUp().run, partial(follow_skips, parts.settings, consumer.reader), *background)
        parts.started = True
        log.info("started")

    async def shut_down() -> None:
        parts.stopping = True
        consumer.close()
        await closing()

    async def healthy() -> bool:
        return parts.started and not parts.stopping and not consumer.loading and bool(await parts.broker.ping(5.0))

    parts.metrics.watch(*PARTITION_HELD, lambda: held_partitions(consumer.held))
    _run(parts, healthy, start_up, shut_down, lambda: consumer.held)


def _run(
    parts: Parts,
    healthy: Callable[[], Awaitable[bool]],
    start_up: Callable[[], Awaitable[None]],
    shut_down: Callable[[], Awaitable[None]],
    held: Callable[[], Mapping[TopicPartition, Held]],
    alive: Callable[[], Awaitable[bool]] | None = None,
    check: Callable[[Settings], Coroutine[Any, Any, None]] = check_dependencies,
) -> None:
    app = AsgiFastStream(
        parts.broker,
        asgi_routes=[*health_routes(healthy, alive, held), ("/metrics", make_asgi_app(parts.registry))],
        after_startup=[start_up],
        on_shutdown=[shut_down],
        after_shutdown=[parts.close],
        logger=logging.getLogger("waggle.service"),
    )
    run_http(app, parts.settings, check)


async def _keep_running(work: Callable[[], Awaitable[None]]) -> None:
    """Run work, and restart it after any failure: an outage is waited out, a defect is logged."""
    pause, began = 0.5, time.monotonic()
    while True:
        try:
            return await work()
        except (*bus.OUTAGES, *blackboard.OUTAGES) as outage:
            log.warning("dependency_unavailable", error=repr(outage), **SELDOM)
        except Exception:  # a defect is logged; the task restarts
            log.exception("background_task_failed")
        pause = 1.0 if time.monotonic() - began > 2 * LONGEST_PAUSE else min(2 * pause, LONGEST_PAUSE)
        await asyncio.sleep(pause)
        began = time.monotonic()
