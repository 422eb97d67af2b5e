"""The HTTP side of a process: probes, and the server that runs until the process is asked to stop."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import uvicorn
from aiokafka import TopicPartition
from faststream.asgi import AsgiResponse, get
from faststream.asgi.types import Scope

from shared import archive, blackboard, bus
from shared.bus.reader import Held, place
from shared.config import Settings
from shared.errors import Misconfigured
from shared.net.http_server import BoundedHeads

KAFKA_WITHIN = 30.0
"""Seconds a starting service waits for Kafka."""


def health_routes(
    healthy: Callable[[], Awaitable[bool]],
    alive: Callable[[], Awaitable[bool]] | None = None,
    held: Callable[[], Mapping[TopicPartition, Held]] = dict,
) -> list[tuple[str, Any]]:
    """`/live`: the event loop turns, and Kafka, if it is there, is heard. `/ready`: the service can do all its work.

    With a partition `held` at a batch it cannot read it does the rest, and `/ready` names that partition.
    """

    @get(include_in_schema=False)
    async def live(scope: Scope) -> AsgiResponse:
        return AsgiResponse(b"live", 200) if alive is None or await alive() else AsgiResponse(b"deaf", 503)

    @get(include_in_schema=False)
    async def ready(scope: Scope) -> AsgiResponse:
        if not await healthy():
            return AsgiResponse(b"not ready", 503)
        stuck = [f"{place(each)} is held at offset {at.at}: {at.why}" for each, at in held().items()]
        return AsgiResponse("\n".join(stuck or ["ready"]).encode(), 503 if stuck else 200)

    return [("/live", live), ("/ready", ready)]


def run_http(app: Any, settings: Settings) -> None:
    """Run an ASGI application until the process is asked to stop.

    Exits with a sentence when Kafka cannot be reached, or when Kafka, Redis or Postgres refuse what the settings say:
    whoever supervises the process starts it again.
    """
    try:
        asyncio.run(_let_in(settings))
    except (ConnectionError, Misconfigured) as why:
        sys.exit(f"waggle cannot start: {why}")
    uvicorn.run(
        _ending_with(app),
        host=settings.http_host,
        port=settings.http_port,
        loop="uvloop",
        http=BoundedHeads,
        log_config=None,
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=5,
    )


async def _let_in(settings: Settings) -> None:
    """Return when Kafka answers. A Redis or Postgres that is away is waited for later, one that refuses us is not."""
    await asyncio.gather(
        bus.await_kafka(settings, KAFKA_WITHIN),
        blackboard.check_redis(settings),
        archive.check_postgres(settings.postgres),
    )


def _ending_with(app: Any) -> Any:
    """The application, whose process ends when its start fails after HTTP was opened: it would never be ready."""

    async def ending(scope: Any, receive: Any, send: Any) -> None:
        try:
            await app(scope, receive, send)
        except BaseException:
            if scope["type"] == "lifespan":
                os.kill(os.getpid(), signal.SIGTERM)
            raise

    return ending
