"""Dead letters are looked at, put back, thrown away."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import ConfigDict, Field

from schemas.dead import DeadLetterHandled
from schemas.message import Instant, Part
from schemas.registry import TOPICS
from services.gateway.failures import Refused, documented
from services.gateway.inputs import PartsOf
from shared.blackboard import known_agents, lock
from shared.bus import AlreadyHandled, DeadLetter, DeadLetters, UnknownDeadLetter, Wanted
from shared.service import Parts

MOST = 1_000
"""Dead letters dealt with by one request."""

router = APIRouter(prefix="/v1/dead-letters", tags=["dead letters"])

Topic = Annotated[str | None, Query(description="Where the record was, such as `tasks` or `agents.data`.")]
Code = Annotated[str | None, Query(description="What kind of failure it was.")]
OfTenant = Annotated[str, Query(alias="tenant", description="Whose record it was; all tenants' unless given.")]
Since = Annotated[Instant | None, Query(description="Given up at or after this moment.")]
Until = Annotated[Instant | None, Query(description="Given up before this moment.")]
InState = Annotated[Literal["open", "handled", "all"], Query(description="`open`: nobody has dealt with it.")]
_STATE = {"open": False, "handled": True, "all": None}


class DeadLetterLine(Part):
    """A dead letter in a list."""

    name: str
    topic: str
    error: str
    message: str
    tenant: str | None
    attempts: int
    at: Instant
    handled: DeadLetterHandled | None


class DeadLetterView(DeadLetterLine):
    """A dead letter with everything that is known of it."""

    partition: int
    offset: int
    key: str
    headers: dict[str, str]
    text: str | None = Field(description="Its bytes, if they are text.")
    base64: str | None = Field(description="Its bytes, if they are no text.")
    causes: list[str] = Field(description="Why earlier tries failed, oldest first.")
    service: str
    version: str
    trace_id: str | None
    redriven_from: str | None


class Handling(Part):
    """Which dead letters are meant, and by whom: either one `name`, or all open ones that fit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: str = Field(min_length=1, max_length=200, description="Who wants it.")
    reason: str = Field("", max_length=20_000)
    name: str | None = None
    topic: str | None = None
    error: str | None = None
    tenant: str | None = None
    since: Instant | None = None
    until: Instant | None = None
    limit: int = Field(100, ge=1, le=MOST)
    dry_run: bool = Field(False, description="Only say which they are.")


class Redriving(Handling):
    """Which dead letters go back."""

    rate: float = Field(10.0, gt=0, le=1_000, description="Records a second.")


class Discarding(Handling):
    """Which dead letters are thrown away, and why."""

    reason: str = Field(min_length=1, max_length=20_000)


class Handled(Part):
    """What was done; with `dry_run`, what would be."""

    names: list[str]
    skipped: list[str] = Field(description="Somebody else dealt with these meanwhile.")
    dry_run: bool


@router.get("", summary="List dead letters", responses=documented())
async def list_dead_letters(
    parts: PartsOf,
    topic: Topic = None,
    error: Code = None,
    tenant: OfTenant = "",
    since: Since = None,
    until: Until = None,
    state: InState = "open",
    limit: Annotated[int, Query(ge=1, le=MOST)] = 100,
) -> list[DeadLetterLine]:
    """The newest first. The newest 10,000 records of each dead-letter partition are looked through."""
    wanted = Wanted(topic=topic, error=error, tenant=tenant or None, since=since, until=until, handled=_STATE[state])
    return [_line(each) for each in await _letters(parts).find(wanted, await _topics(parts), limit)]


@router.get("/{name:path}", summary="Show a dead letter", responses=documented(404))
async def show_dead_letter(name: str, parts: PartsOf) -> DeadLetterView:
    """Its bytes and headers as they were, why it was given up, and what was done with it."""
    return _view(await _one(parts, name))


@router.post("/redrive", summary="Put dead letters back", responses=documented(404, 409))
async def redrive(order: Redriving, parts: PartsOf) -> Handled:
    """Each goes back to its topic byte for byte, with its id, once. With `name`, 409 if it was dealt with before."""

    async def act(letter: DeadLetter) -> None:
        await _letters(parts).redrive(letter, by=order.by, now=datetime.now(UTC), reason=order.reason)

    return await _handle(parts, order, act, 1 / order.rate)


@router.post("/discard", summary="Throw dead letters away", responses=documented(404, 409))
async def discard(order: Discarding, parts: PartsOf) -> Handled:
    """They stay in Kafka until their retention ends, but are no longer listed as open."""

    async def act(letter: DeadLetter) -> None:
        await _letters(parts).discard(letter, by=order.by, now=datetime.now(UTC), reason=order.reason)

    return await _handle(parts, order, act, 0.0)


async def _handle(parts: Parts, order: Handling, act: Callable[[DeadLetter], Awaitable[None]], pause: float) -> Handled:
    names, skipped = [], []
    for letter in await _meant(parts, order):
        if not order.dry_run and not await _once(parts, letter, act, strict=order.name is not None):
            skipped.append(letter.name)
            continue
        names.append(letter.name)
        if not order.dry_run:
            await asyncio.sleep(pause)
    return Handled(names=names, skipped=skipped, dry_run=order.dry_run)


async def _meant(parts: Parts, order: Handling) -> list[DeadLetter]:
    if order.name is not None:
        return [await _one(parts, order.name)]
    wanted = Wanted(topic=order.topic, error=order.error, tenant=order.tenant, since=order.since, until=order.until)
    return await _letters(parts).find(wanted, await _topics(parts), order.limit)


async def _once(
    parts: Parts, letter: DeadLetter, act: Callable[[DeadLetter], Awaitable[None]], *, strict: bool
) -> bool:
    """Deal with it, one person at a time, as it stands now. False if somebody else has; 409 instead if `strict`."""
    async with lock(parts.redis, f"dead:{letter.name}") as had:
        if not had:
            return _passed_over(f"somebody else deals with {letter.name} right now", strict=strict)
        try:
            await act(await _letters(parts).get(letter.name))
        except AlreadyHandled as done:
            return _passed_over(str(done), strict=strict)
    return True


def _passed_over(why: str, *, strict: bool) -> bool:
    if strict:
        raise Refused(409, AlreadyHandled.code, why, action="look at it: it says what was done with it, and by whom")
    return False


async def _one(parts: Parts, name: str) -> DeadLetter:
    try:
        return await _letters(parts).get(name)
    except UnknownDeadLetter as unknown:
        raise Refused(404, unknown.code, str(unknown), action="GET /v1/dead-letters lists those there are") from None


def _letters(parts: Parts) -> DeadLetters:
    return DeadLetters(parts.settings.kafka, parts.settings.topic_prefix)


async def _topics(parts: Parts) -> list[str]:
    """Every topic that a service consumes record by record."""
    agents = [f"agents.{name}" for name in await known_agents(parts.redis)]
    return sorted({"tasks", "runs", "control", "decisions"} & set(TOPICS.values())) + agents


def _line(letter: DeadLetter) -> DeadLetterLine:
    return DeadLetterLine(**{name: getattr(letter, name) for name in DeadLetterLine.model_fields})


def _view(letter: DeadLetter) -> DeadLetterView:
    text = _text(letter.value)
    facts = {name: getattr(letter, name) for name in DeadLetterView.model_fields if hasattr(letter, name)}
    return DeadLetterView(
        **facts
        | {
            "key": letter.key.decode(errors="replace"),
            "headers": {name: value.decode(errors="replace") for name, value in letter.headers},
            "text": text,
            "base64": None if text is not None else base64.b64encode(letter.value).decode(),
        }
    )


def _text(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None
