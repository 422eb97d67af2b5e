"""Routes about one topic: its partitions, and a look at its records."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from schemas.api.topics import RecordPeek, TopicDetail
from schemas.envelope import InvalidEnvelope, from_headers
from services.gateway.audit import record_access
from services.gateway.dead_letters import masked
from services.gateway.dependencies import DEFAULT_TENANT, CallerDep, PartsDep
from services.gateway.errors import Refused, error_responses, kafka_within
from shared.access.principals import Role
from shared.blackboard import known_agents
from shared.bus import header_map
from shared.bus.admin.lag import commits_nothing
from shared.bus.admin.peek import newest_records, partitions_with_lag
from shared.bus.groups import groups_by_topic
from shared.bus.held import Unreadable
from shared.bus.record import time_of

TIMEOUT = 12.0
"""Seconds for Kafka to answer."""

SHOWN = 20_000
"""Characters of a payload that are shown."""

router = APIRouter(prefix="/v1/topics/{topic}", tags=["swarm"], responses=error_responses(404))

GivenTopic = Annotated[str, Path(max_length=249, description="The topic, without the prefix.")]


@router.get("", summary="Show a topic")
async def show_topic(topic: GivenTopic, parts: PartsDep) -> TopicDetail:
    """Its partitions with their offsets, and the lag of each group in each of them."""
    prefix = parts.settings.topic_prefix
    groups = groups_by_topic(prefix, await known_agents(parts.redis)).get(prefix + topic, ())
    counted = [] if commits_nothing(parts.settings, topic) else groups
    async with kafka_within(TIMEOUT):
        partitions = await partitions_with_lag(parts.settings, topic, counted)
    if partitions is None:
        raise _unknown(f"there is no topic {topic}")
    return TopicDetail(topic=topic, groups=list(groups), partitions=partitions)


@router.get("/partitions/{partition}/records", summary="Look at records", responses=error_responses(404, 409))
async def peek_records(
    topic: GivenTopic,
    partition: Annotated[int, Path(ge=0, le=1_000_000)],
    parts: PartsDep,
    caller: CallerDep,
    before: Annotated[int | None, Query(ge=0, le=2**62, description="Only records before this offset.")] = None,
    limit: Annotated[int, Query(ge=1, le=20)] = 10,
    contents: Annotated[
        bool, Query(description="With payloads: for the role `contents`, recorded in the audit.")
    ] = False,
) -> list[RecordPeek]:
    """The newest records of a partition, the newest first. Tokens are hidden, and long payloads cut off.

    Payloads that are shown are recorded in the audit.
    """
    contents = contents and caller.may(Role.CONTENTS)
    try:
        async with kafka_within(TIMEOUT):
            found = await newest_records(parts.settings, topic, partition, before, limit)
    except Unreadable as held:
        action = f"look at the records before it, with `before`; POST /v1/topics/{topic}/partitions/{partition}/skip"
        raise Refused(409, "unreadable_batch", str(held), action=action) from held
    if found is None:
        raise _unknown(f"there is no partition {partition} of a topic {topic}")
    if contents and found:
        what = f"{topic}/{partition} {found[-1].offset}-{found[0].offset}"
        await record_access(parts, caller, DEFAULT_TENANT, "topic", "", what)
    return [_peek(record, contents=contents) for record in found]


def _peek(record: Any, *, contents: bool) -> RecordPeek:
    headers = header_map(record.headers)
    value = record.value or b""
    about = {"offset": record.offset, "at": time_of(record), "size": len(value), "tombstone": record.value is None}
    try:
        envelope = from_headers(headers)
    except InvalidEnvelope as wrong:
        about["problem"] = str(wrong)[:500]
    else:
        about |= {"type": envelope.type, "source": envelope.source, "id": envelope.id, "tenant": envelope.tenant}
    key = None if record.key is None else record.key.decode(errors="replace")[:500]
    text = masked(value).decode(errors="replace") if contents else None
    cut = text is not None and len(text) > SHOWN
    return RecordPeek(key=key, payload=text[:SHOWN] if text is not None else None, cut=cut, **about)


def _unknown(message: str) -> Refused:
    return Refused(404, "unknown_topic", message, action="GET /v1/topics lists the topics and their partitions")
