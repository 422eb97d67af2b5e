"""HTTP side of a process: probes, and the server that runs until the process is asked to stop."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

import uvicorn
from aiokafka import TopicPartition
from faststream.asgi import AsgiResponse, get
from faststream.asgi.types import Scope

from shared import archive, blackboard
from shared.bus.admin import await_kafka
from shared.bus.held import Held, partition_name
from shared.config import Settings
from shared.errors import Misconfigured
from shared.service.http_server import BoundedHeads

KAFKA_WITHIN = 30.0
"""Seconds a starting service waits for Kafka."""


def health_routes(
    healthy: Callable[[], Awaitable[bool]],
    alive: Callable[[], Awaitable[bool]] | None = None,
    held: Callable[[], Mapping[TopicPartition, Held]] = dict,
) -> list[tuple[str, Any]]:
    """Return `/live` (the event loop runs and Kafka, if available, is heard) and `/ready` (all work can be done).

    While a partition is `held` at an unreadable batch, all other work is done, and `/ready` names that partition.
    """

    @get(include_in_schema=False)
    async def live(scope: Scope) -> AsgiResponse:
        return AsgiResponse(b"live", 200) if alive is None or await alive() else AsgiResponse(b"deaf", 503)

    @get(include_in_schema=False)
    async def ready(scope: Scope) -> AsgiResponse:
        if not await healthy():
            return AsgiResponse(b"not ready", 503)
        stuck = [f"{partition_name(each)} is held at offset {at.at}: {at.why}" for each, at in held().items()]
        return AsgiResponse("\n".join(stuck or ["ready"]).encode(), 503 if stuck else 200)

    return [("/live", live), ("/ready", ready)]


async def check_dependencies(settings: Settings) -> None:
    """Wait for Kafka, and raise Misconfigured if Redis or Postgres refuse the settings; both may be unavailable yet."""
    await asyncio.gather(
        await_kafka(settings, KAFKA_WITHIN),
        blackboard.check_redis(settings),
        archive.check_postgres(settings.postgres),
    )


def run_http(
    app: Any, settings: Settings, check: Callable[[Settings], Coroutine[Any, Any, None]] = check_dependencies
) -> None:
    """Run an ASGI application until the process is asked to stop.

    Exits with a message if the check fails; the supervisor of the process restarts it. By default, Kafka must answer,
    and Kafka, Redis and Postgres must accept the settings.
    """
    try:
        asyncio.run(check(settings))
    except (ConnectionError, Misconfigured) as why:
        sys.exit(f"waggle cannot start: {why}")
    uvicorn.run(
        _exit_on_failed_start(app),
        host=settings.http_host,
        port=settings.http_port,
        loop="uvloop",
        http=BoundedHeads,
        log_config=None,
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=5,
    )


def _exit_on_failed_start(app: Any) -> Any:
    """Return the application, whose process ends if its start fails after HTTP is open: it would never be ready."""

    async def ending(scope: Any, receive: Any, send: Any) -> None:
        try:
            await app(scope, receive, send)
        except BaseException:
            if scope["type"] == "lifespan":
                os.kill(os.getpid(), signal.SIGTERM)
            raise

    return ending
