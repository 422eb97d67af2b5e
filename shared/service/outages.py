"""Waiting for a store that does not answer, in place."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from shared.telemetry.logs import SELDOM

log = structlog.get_logger()


async def through_outages(work: Callable[[], Awaitable[None]], outages: tuple[type[Exception], ...]) -> None:
    """Repeat work in place for as long as one of these exceptions says that a store does not answer."""
    while True:
        try:
            return await work()
        except outages as away:
            log.warning("dependency_unavailable", error=repr(away), **SELDOM)
            await asyncio.sleep(getattr(away, "after", 1.0))
