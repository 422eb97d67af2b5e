"""Routes for dead letters: list, show, edit, redrive, discard. They cover all tenants; a search can select one."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query

from schemas.api.commands import ReasonedRequest
from schemas.api.dead_letters import (
    BatchProgress,
    BatchSelection,
    BulkDiscardRequest,
    BulkRedriveRequest,
    DeadLetterEdited,
    DeadLetterView,
    EditRequest,
    RedriveRequest,
    Search,
    SearchResult,
)
from schemas.dead import DeadLetterHandled
from schemas.task import Task
from services.gateway.audit import record_access
from services.gateway.dead_letter_batch import handle_batch
from services.gateway.dead_letters import (
    letter_lock,
    refusals_answered,
    tenant_named,
    view_of_letter,
    with_costs,
    with_run,
    without_values,
)
from services.gateway.dependencies import CallerDep, PartsDep, SettingsDep
from services.gateway.errors import error_responses
from shared.access.principals import Role
from shared.bus.dead import DeadLetter, Redriver, dead_letters, redriver
from shared.config import Settings

router = APIRouter(prefix="/v1/dead-letters", tags=["dead letters"], responses=error_responses(404))
one = APIRouter(
    prefix="/v1/dead-letters/{topic}/{partition}/{offset}", tags=["dead letters"], responses=error_responses(404)
)


async def name_of(
    topic: Annotated[str, Path(description="The dead-letter topic, such as `tasks.dlt`.", max_length=255)],
    partition: Annotated[int, Path(ge=0, description="The partition of that topic.")],
    offset: Annotated[int, Path(ge=0, description="The offset in the partition.")],
) -> str:
    """Return the name of the dead letter in the path."""
    return f"{topic}/{partition}/{offset}"


Name = Annotated[str, Depends(name_of)]


ContentsWanted = Annotated[bool, Query(description="False: without the payload, of which nothing is read then.")]


@router.get("", summary="List dead letters")
async def list_dead_letters(wanted: Annotated[Search, Query()], parts: PartsDep, caller: CallerDep) -> SearchResult:
    """Dead letters, newest first. If the list is not `complete`, narrow it by topic and time."""
    found = await _search(parts.settings, wanted)
    letters = await with_costs(parts.redis, found.letters)
    if not caller.may(Role.CONTENTS):
        letters = [each.model_copy(update={"handled": without_values(each.handled)}) for each in letters]
    return found.model_copy(update={"letters": letters})


@one.get("", summary="Show a dead letter")
async def show_dead_letter(
    name: Name, parts: PartsDep, caller: CallerDep, contents: ContentsWanted = True
) -> DeadLetterView:
    """Its origin, the failure, the original headers and bytes, the action taken on it, and the fields to edit.

    The payload is shown to the role `contents` alone, and recorded in the audit.
    """
    contents = contents and caller.may(Role.CONTENTS)
    async with refusals_answered(), dead_letters(parts.settings) as letters:
        letter, handled = await letters.find(name)
    view = view_of_letter(letter, handled, contents=contents)
    if contents:
        await record_access(parts, caller, tenant_named(view), "dead_letter", view.run_id or "", name)
    return await with_run(parts.redis, letter, view)


@one.post("/redrive", summary="Redrive a dead letter", responses=error_responses(404, 409))
async def redrive_dead_letter(
    name: Name, order: RedriveRequest, parts: PartsDep, caller: CallerDep
) -> DeadLetterHandled:
    """Publish the original record to its topic once more. 409 `already_handled` names the earlier operator."""
    async with refusals_answered(), redriver(parts.settings, letter_lock(parts.redis)) as desk:
        return await desk.redrive(name, caller.acting_name(order.by), order.reason, again=order.again)


@one.post("/discard", summary="Discard a dead letter", responses=error_responses(404, 409))
async def discard_dead_letter(
    name: Name, order: ReasonedRequest, parts: PartsDep, caller: CallerDep
) -> DeadLetterHandled:
    """Discard it for good. 409 `already_handled` names the earlier operator."""
    async with refusals_answered(), redriver(parts.settings, letter_lock(parts.redis)) as desk:
        return await desk.discard(name, caller.acting_name(order.by), order.reason)


@one.post("/edit", summary="Edit and redrive a dead letter", responses=error_responses(404, 409))
async def edit_dead_letter(name: Name, order: EditRequest, parts: PartsDep, caller: CallerDep) -> DeadLetterEdited:
    """Check a corrected payload against the schema of its message and publish it in place of the original one.

    422 names the field that is invalid or must stay: an edit permits nothing that the original did not permit. To edit
    a task, the role `submit` is needed, too.
    """
    caller.need_also(Role.CONTENTS, "an edit")
    by = caller.acting_name(order.by)

    def permit(letter: DeadLetter) -> None:
        if letter.header("ce_type") == Task.wire_type():
            caller.need_also(Role.SUBMIT, "an edit of a task")

    async with refusals_answered(), redriver(parts.settings, letter_lock(parts.redis)) as desk:
        options = {"again": order.again, "dry_run": order.dry_run}
        edit, handled = await desk.edit(name, order.value, by, order.reason, permit=permit, **options)
    return DeadLetterEdited(name=name, edits=edit.fields, more_edits=edit.more, handled=handled)


async def found_to_redrive(order: BulkRedriveRequest, settings: SettingsDep, caller: CallerDep) -> SearchResult:
    """Return the selected letters. Searched before the answer starts: after that no error status can be sent."""
    caller.acting_name(order.by)
    return await _search(settings, order.letters)


async def found_to_discard(order: BulkDiscardRequest, settings: SettingsDep, caller: CallerDep) -> SearchResult:
    """Return the selected letters, as `found_to_redrive` does."""
    caller.acting_name(order.by)
    return await _search(settings, order.letters)


@router.post("/redrive", summary="Redrive many dead letters")
async def redrive_dead_letters(
    order: BulkRedriveRequest,
    found: Annotated[SearchResult, Depends(found_to_redrive)],
    parts: PartsDep,
    caller: CallerDep,
) -> AsyncIterator[BatchSelection | BatchProgress]:
    """JSON lines: first the number selected, then one line per redriven letter. Stops when the caller disconnects."""

    async def act(desk: Redriver, name: str) -> DeadLetterHandled:
        return await desk.redrive(name, caller.acting_name(order.by), order.reason)

    async for line in handle_batch(parts, found, act, rate=order.rate, dry_run=order.dry_run):
        yield line


@router.post("/discard", summary="Discard many dead letters")
async def discard_dead_letters(
    order: BulkDiscardRequest,
    found: Annotated[SearchResult, Depends(found_to_discard)],
    parts: PartsDep,
    caller: CallerDep,
) -> AsyncIterator[BatchSelection | BatchProgress]:
    """JSON lines: first the number selected, then one line per discarded letter. Stops when the caller disconnects."""

    async def act(desk: Redriver, name: str) -> DeadLetterHandled:
        return await desk.discard(name, caller.acting_name(order.by), order.reason)

    async for line in handle_batch(parts, found, act, rate=order.rate, dry_run=order.dry_run):
        yield line


async def _search(settings: Settings, wanted: Search) -> SearchResult:
    async with refusals_answered(), dead_letters(settings) as letters:
        return await letters.search(wanted)
