"""The overview: health, counts, what needs a person, and what is broken."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from fastapi import APIRouter
from starlette.responses import Response

from schemas.api.checks import Check
from schemas.api.dead_letters import DeadLetterSummary
from schemas.api.topics import TopicLag
from services.console.dead_letters import Filters, find
from services.console.gateway import Gateway, answer_or_none
from services.console.overview import LISTED, overview_of
from services.console.pages import page
from services.console.visitor import VisitorDep

WITHIN = 3.0
"""Seconds that the page waits for Kafka: it must open most of all when Kafka is down."""

router = APIRouter()

T = TypeVar("T")


@router.get("/")
async def show_overview(visitor: VisitorDep) -> Response:
    """Everything that a visitor's roles permit; a part that they do not permit says so.

    What is asked of Kafka is no part of the live contents: it is asked once, not every few seconds.
    """
    gateway = visitor.gateway
    values, lag, failing, dead = await asyncio.gather(
        overview_of(gateway), _in_time(_lag(gateway)), _in_time(_failing(gateway)), _in_time(_dead(gateway))
    )
    return page(visitor, "overview.html", **values, lag=lag, failing=failing, dead=dead)


async def _in_time(work: Awaitable[T]) -> T | None:
    """Return the answer; None for a visitor who may not see it, and if Kafka does not answer soon."""
    try:
        async with asyncio.timeout(WITHIN):
            return await answer_or_none(work, 403, 503)
    except TimeoutError:
        return None


async def _lag(gateway: Gateway) -> int:
    """Return the messages that groups have not committed, of all topics."""
    topics = await gateway.ask_many(TopicLag, "/v1/topics")
    return sum(group.lag or 0 for topic in topics for group in topic.groups)


async def _failing(gateway: Gateway) -> list[Check]:
    """Return the checks that fail."""
    return [check for check in await gateway.ask_many(Check, "/v1/checks") if check.verdict == "fail"]


async def _dead(gateway: Gateway) -> list[DeadLetterSummary]:
    """Return the newest open dead letters."""
    return (await find(gateway, Filters(), "open", LISTED)).letters
