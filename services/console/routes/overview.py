"""The overview: health, counts, what needs a person, and what is broken."""

import asyncio

from fastapi import APIRouter
from starlette.responses import Response

from schemas.api.dead_letters import DeadLetterSummary
from schemas.api.topics import TopicLag
from services.console.dead_letters import Filters, find
from services.console.gateway import Gateway
from services.console.overview import LISTED, failing_checks, in_time, overview_of
from services.console.pages import page
from services.console.visitor import VisitorDep

router = APIRouter()


@router.get("/")
async def show_overview(visitor: VisitorDep) -> Response:
    """Everything that a visitor's roles permit; a part that they do not permit says so.

    Lag and dead letters are no part of the live contents: Kafka is asked for them once, not every few seconds.
    """
    gateway = visitor.gateway
    values, lag, failing, dead = await asyncio.gather(
        overview_of(gateway), in_time(_lag(gateway)), failing_checks(gateway), in_time(_dead(gateway))
    )
    return page(visitor, "overview.html", **values, lag=lag, failing=failing, dead=dead)


async def _lag(gateway: Gateway) -> int:
    """Return the messages that groups have not committed, of all topics."""
    topics = await gateway.ask_many(TopicLag, "/v1/topics")
    return sum(group.lag or 0 for topic in topics for group in topic.groups)


async def _dead(gateway: Gateway) -> list[DeadLetterSummary]:
    """Return the newest open dead letters."""
    return (await find(gateway, Filters(), "open", LISTED)).letters
