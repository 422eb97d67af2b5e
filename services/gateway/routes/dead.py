"""Dead letters are looked at, put back, or given up. Operators see those of all tenants, unless they ask for one."""

from collections.abc import AsyncIterator
from typing import Annotated, Self

from fastapi import APIRouter, Depends, Path, Query
from pydantic import Field, field_validator, model_validator

from schemas.dead import DeadLetterHandled
from schemas.message import Text
from services.gateway.dead_letter_batch import deal
from services.gateway.dead_letters import DeadLetterView, Progress, Selection, letter_lock, refusing, view_of_letter
from services.gateway.dependencies import CallerDep, PartsDep, SettingsDep
from services.gateway.errors import error_responses
from services.gateway.routes.commands import Order, ReasonedOrder
from shared.bus.dead import Found, Redriver, Search, dead_letters, redriver
from shared.config import Settings

router = APIRouter(prefix="/v1/dead-letters", tags=["dead letters"], responses=error_responses(404))
one = APIRouter(
    prefix="/v1/dead-letters/{topic}/{partition}/{offset}", tags=["dead letters"], responses=error_responses(404)
)


class Redrive(Order):
    """Who wants it put back."""

    reason: str = Field("", max_length=20_000, description="Why; needed with `again`.")
    again: bool = Field(default=False, description="Also what was redriven or discarded before.")

    @model_validator(mode="after")
    def _again_has_a_reason(self) -> Self:
        if self.again and not self.reason.strip():
            raise ValueError("`again` needs a `reason`")
        return self


class Many(Order):
    """Which open dead letters to deal with, and how fast."""

    letters: Search = Field(description="Which ones; an empty object means all that are open, up to its limit.")
    rate: float = Field(10.0, ge=0.1, le=1000, description="So many a second, at most.")
    dry_run: bool = Field(default=False, description="Only say which ones.")

    @field_validator("letters")
    @classmethod
    def _open_ones(cls, letters: Search) -> Search:
        if letters.state != "open":
            raise ValueError("only open ones can be dealt with in bulk; name any other")
        return letters


class RedriveMany(Many):
    """Which open dead letters to put back."""

    reason: str = Field("", max_length=20_000, description="Why.")


class DiscardMany(Many):
    """Which open dead letters to give up."""

    reason: Text


async def name_of(
    topic: Annotated[str, Path(description="Its dead-letter topic, such as `tasks.dlt`.", max_length=255)],
    partition: Annotated[int, Path(ge=0, description="Its partition there.")],
    offset: Annotated[int, Path(ge=0, description="Its offset there.")],
) -> str:
    """The name of a dead letter, as its path has it."""
    return f"{topic}/{partition}/{offset}"


Name = Annotated[str, Depends(name_of)]


@router.get("", summary="List dead letters")
async def list_dead_letters(wanted: Annotated[Search, Query()], settings: SettingsDep) -> Found:
    """The newest first. A list that is not `complete` can be narrowed by topic and time."""
    return await _found(settings, wanted)


@one.get("", summary="Show a dead letter")
async def show_dead_letter(name: Name, settings: SettingsDep) -> DeadLetterView:
    """Where it was and why it could not be worked on, its original headers and bytes, and what became of it."""
    async with refusing(), dead_letters(settings) as letters:
        return view_of_letter(*await letters.find(name))


@one.post("/redrive", summary="Redrive a dead letter", responses=error_responses(404, 409))
async def redrive_dead_letter(name: Name, order: Redrive, parts: PartsDep, caller: CallerDep) -> DeadLetterHandled:
    """Put the original record back on its topic. 409 `already_handled`, saying by whom, when somebody did something."""
    async with refusing(), redriver(parts.settings, letter_lock(parts.redis)) as desk:
        return await desk.redrive(name, caller.acting_name(order.by), order.reason, again=order.again)


@one.post("/discard", summary="Discard a dead letter", responses=error_responses(404, 409))
async def discard_dead_letter(
    name: Name, order: ReasonedOrder, parts: PartsDep, caller: CallerDep
) -> DeadLetterHandled:
    """Give it up for good. 409 `already_handled`, saying by whom, when somebody did something."""
    async with refusing(), redriver(parts.settings, letter_lock(parts.redis)) as desk:
        return await desk.discard(name, caller.acting_name(order.by), order.reason)


async def found_to_redrive(order: RedriveMany, settings: SettingsDep, caller: CallerDep) -> Found:
    """What the order means, looked up before the answer begins: after that nothing can be refused."""
    caller.acting_name(order.by)
    return await _found(settings, order.letters)


async def found_to_discard(order: DiscardMany, settings: SettingsDep, caller: CallerDep) -> Found:
    """As `found_to_redrive`."""
    caller.acting_name(order.by)
    return await _found(settings, order.letters)


@router.post("/redrive", summary="Redrive many dead letters")
async def redrive_dead_letters(
    order: RedriveMany, found: Annotated[Found, Depends(found_to_redrive)], parts: PartsDep, caller: CallerDep
) -> AsyncIterator[Selection | Progress]:
    """One line of JSON that says how many, then one for each as it is put back. It stops when the caller goes away."""

    async def act(desk: Redriver, name: str) -> DeadLetterHandled:
        return await desk.redrive(name, caller.acting_name(order.by), order.reason)

    async for line in deal(parts, found, act, rate=order.rate, dry_run=order.dry_run):
        yield line


@router.post("/discard", summary="Discard many dead letters")
async def discard_dead_letters(
    order: DiscardMany, found: Annotated[Found, Depends(found_to_discard)], parts: PartsDep, caller: CallerDep
) -> AsyncIterator[Selection | Progress]:
    """One line of JSON that says how many, then one for each as it is given up. It stops when the caller goes away."""

    async def act(desk: Redriver, name: str) -> DeadLetterHandled:
        return await desk.discard(name, caller.acting_name(order.by), order.reason)

    async for line in deal(parts, found, act, rate=order.rate, dry_run=order.dry_run):
        yield line


async def _found(settings: Settings, wanted: Search) -> Found:
    async with refusing(), dead_letters(settings) as letters:
        return await letters.search(wanted)
