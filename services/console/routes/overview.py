"""The overview: health, counts and what needs a person."""

import asyncio
from dataclasses import dataclass

from fastapi import APIRouter
from starlette.responses import Response

from schemas.api.dead_letters import DeadLetterSummary
from schemas.api.topics import GroupLag, TopicLag
from services.console.dead_letters import Filters, find
from services.console.gateway import Gateway, GatewayFailure
from services.console.overview import LISTED, overview_of
from services.console.pages import page
from services.console.visitor import VisitorDep

router = APIRouter()


@router.get("/")
async def show_overview(visitor: VisitorDep) -> Response:
    """Everything that a visitor's roles permit; a part that they do not permit says so."""
    gateway = visitor.gateway
    values, lag, dead = await asyncio.gather(overview_of(gateway), _lag(gateway), _dead(gateway))
    return page(visitor, "overview.html", **values, lag=lag, dead=dead)


async def _dead(gateway: Gateway) -> list[DeadLetterSummary]:
    """Return the newest open dead letters; none for a visitor who may not see them, or while Kafka is unavailable.

    As the lag, they are no part of the live contents.
    """
    try:
        return (await find(gateway, Filters(), "open", LISTED)).letters
    except GatewayFailure as failure:
        if failure.status not in {403, 503}:
            raise
        return []


@dataclass(frozen=True, slots=True)
class Lag:
    """Messages that wait in topics."""

    messages: int
    deserted: list[GroupLag]
    """Groups of which no member runs, though messages wait for them."""


async def _lag(gateway: Gateway) -> Lag | None:
    """Return what groups have not committed, of all topics; None for a visitor who may not see it.

    It is no part of the live contents: Kafka is asked once, not every few seconds.
    """
    try:
        topics = await gateway.ask_many(TopicLag, "/v1/topics")
    except GatewayFailure as failure:
        if failure.status not in {403, 503}:
            raise
        return None
    groups = [group for topic in topics for group in topic.groups if group.lag]
    return Lag(sum(group.lag or 0 for group in groups), [group for group in groups if group.members == 0])
