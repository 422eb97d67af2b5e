"""Topics: sizes, groups, lag and rates; one topic with its partitions, and a look at its records."""

import asyncio
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from schemas.api.topics import RecordPeek, TopicDetail, TopicLag
from services.console.gateway import Gateway
from services.console.pages import page
from services.console.visitor import VisitorDep

router = APIRouter()

SAMPLE = 2.0
"""Seconds between the two readings that give a rate."""

_LISTED = 10


@router.get("/topics")
async def list_topics(visitor: VisitorDep, rates: bool = False) -> Response:
    """All topics; with `rates`, two readings some seconds apart."""
    before = await _topics(visitor.gateway) if rates else []
    if rates:
        await asyncio.sleep(SAMPLE)
    found = await _topics(visitor.gateway)
    written = {each.topic: each.written for each in before}
    per_second = {each.topic: (each.written - written[each.topic]) / SAMPLE for each in found if each.topic in written}
    prefix = _prefix([each.topic for each in found])
    return page(visitor, "topics.html", topics=found, per_second=per_second, rates=rates, prefix=prefix)


@router.get("/topics/{topic}")
async def show_topic(
    visitor: VisitorDep,
    topic: Annotated[str, Path(max_length=249)],
    partition: Annotated[int | None, Query(ge=0, le=1_000_000)] = None,
    before: Annotated[int | None, Query(ge=0, le=2**62)] = None,
    contents: bool = False,
) -> Response:
    """Partitions with their lag; of a chosen one, the newest records, with payloads only if those are asked for."""
    where = f"/v1/topics/{quote(topic, safe='')}"
    detail = await visitor.gateway.ask(TopicDetail, "GET", where)
    records = None
    if partition is not None:
        wanted = {"limit": str(_LISTED), "contents": str(contents).lower()}
        wanted |= {} if before is None else {"before": str(before)}
        records = await visitor.gateway.ask_many(RecordPeek, f"{where}/partitions/{partition}/records", wanted)
    return page(
        visitor,
        "topic.html",
        topic=topic,
        detail=detail,
        records=records,
        partition=partition,
        before=before,
        contents=contents,
        listed=_LISTED,
    )


async def _topics(gateway: Gateway) -> list[TopicLag]:
    return await gateway.ask_many(TopicLag, "/v1/topics")


def _prefix(names: list[str]) -> str:
    """Return the prefix of the installation: the start of the topic `tasks`, which each one has."""
    return min((name.removesuffix("tasks") for name in names if name.endswith("tasks")), key=len, default="")
