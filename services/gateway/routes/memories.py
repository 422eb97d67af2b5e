"""Routes about memories: a person looks at them, searches as agents do, and changes single ones."""

from datetime import UTC, datetime
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from schemas.api.memories import (
    ConfirmRequest,
    CorrectRequest,
    ForgetOneRequest,
    MemoryChanged,
    MemoryChangeRequest,
    MemoryDetail,
    MemoryGone,
    MemoryPage,
    MemoryQuery,
    MemorySearch,
    SearchQuery,
)
from schemas.memory import ChangeKind
from services.gateway.access import Caller
from services.gateway.audit import record_access
from services.gateway.dependencies import CallerDep, PartsDep, Tenant
from services.gateway.errors import Refused, error_responses
from services.gateway.memories import detail_of, filters_of, found_view, page_of, place_of, view_of
from services.gateway.memory_changes import Changed, Changes, confirmed, corrected, pinned, unknown_memory
from services.gateway.memory_search import search
from services.gateway.rate_limit import limit
from shared.access.principals import Role
from shared.memory import MemoryStore
from shared.memory.listing import Place, is_empty
from shared.memory.listing import list_memories as listed_memories
from shared.memory.listing import show_memory as stored_memory
from shared.service import Parts

router = APIRouter(prefix="/v1/memories", tags=["memories"])
one = APIRouter(prefix="/v1/memories/{id}", tags=["memories"], responses=error_responses(404, 409, 413, 429))

SEARCHES_PER_MINUTE = 600
"""Searches of a tenant; each may read thousands of index entries."""

CHANGES_PER_MINUTE = 300
"""Changes of single memories of a tenant; each holds a request until it is visible."""

MemoryId = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$", description="As `GET /v1/memories` names it.")]


def store_of(request: Request) -> MemoryStore:
    """Return the store of memories."""
    store: MemoryStore = request.app.state.memories
    return store


StoreDep = Annotated[MemoryStore, Depends(store_of)]


async def changes_of(parts: PartsDep, store: StoreDep, tenant: Tenant, caller: CallerDep) -> "Author":
    """Return the way to change memories, within the tenant's rate. Raises Refused 429."""
    message = f"tenant `{tenant}` may change {CHANGES_PER_MINUTE} memories per minute"
    await limit(parts, f"memory-changes/{tenant}", tenant, CHANGES_PER_MINUTE, message)
    return Author(parts, store, tenant, caller)


class Author:
    """Caller who changes memories of a tenant."""

    def __init__(self, parts: Parts, store: MemoryStore, tenant: str, caller: Caller) -> None:
        self.tenant, self.caller = tenant, caller
        self._parts, self._store = parts, store

    def changes(self, claimed: str | None) -> Changes:
        """Return the changes in the caller's name, or the claimed one at a gateway without keys."""
        return Changes(self._parts, self._store, self.tenant, self.caller.acting_name(claimed))

    def answer(self, changed: Changed, response: Response) -> MemoryChanged:
        """Return the answer to a change: 202 if it is not yet visible."""
        response.status_code = 200 if changed.in_effect else 202
        view = view_of(changed.after, self.caller)
        return MemoryChanged(memory=view, before=changed.before, in_effect=changed.in_effect)


AuthorDep = Annotated[Author, Depends(changes_of)]


@router.get("", summary="List memories", responses=error_responses())
async def list_memories(
    tenant: Tenant, query: Annotated[MemoryQuery, Query()], store: StoreDep, caller: CallerDep
) -> MemoryPage:
    """Memories that match, newest first. Contents, subjects, origins and reasons need the role `contents`.

    The filters `subject` and `text` need that role, too: their answer would reveal what is withheld.
    """
    if query.text or query.subject:
        caller.need_also(Role.CONTENTS, "a filter by subject or text")
    found = await listed_memories(store, tenant, filters_of(query), query.limit + 1, _place(query.cursor))
    empty = not found and query.cursor is None and await is_empty(store, tenant)
    return page_of(found, query.limit, caller, empty=empty)


@router.get("/search", summary="Search memories", responses=error_responses(429))
async def search_memories(
    tenant: Tenant, query: Annotated[SearchQuery, Query()], parts: PartsDep, store: StoreDep, caller: CallerDep
) -> MemorySearch:
    """Memories that an agent would recall for this text now, best first, with the reasons. Recorded in the audit."""
    message = f"tenant `{tenant}` may search {SEARCHES_PER_MINUTE} times per minute"
    await limit(parts, f"memory-searches/{tenant}", tenant, SEARCHES_PER_MINUTE, message)
    await record_access(parts, caller, tenant, "memory", "", "search")
    now = datetime.now(UTC)
    found, by_meaning = await search(store, parts.settings, tenant, query, now)
    return MemorySearch(found=[found_view(each, query.text, caller, now) for each in found], by_meaning=by_meaning)


@one.get("", summary="Show a memory")
async def show_memory(
    id: MemoryId, tenant: Tenant, parts: PartsDep, store: StoreDep, caller: CallerDep
) -> MemoryDetail:
    """A memory with its sources, changes, uses, and the reason for its importance. Recorded in the audit."""
    found = await stored_memory(store, tenant, id)
    if found is None:
        raise unknown_memory(id)
    await record_access(parts, caller, tenant, "memory", found.memory.run, id)
    return detail_of(found, caller)


@one.post("/correct", summary="Correct a memory")
async def correct_memory(order: CorrectRequest, id: MemoryId, author: AuthorDep, response: Response) -> MemoryChanged:
    """Change content, subject, importance or validity of the version looked at. New content is the person's word.

    `before` has the former values: another correction undoes this one. Repeating the request changes nothing.
    """
    changes = author.changes(order.by)
    change = partial(corrected, order=order, by=changes.by)
    return author.answer(await changes.apply(id, order, ChangeKind.CORRECTED, change), response)


@one.post("/pin", summary="Pin a memory")
async def pin_memory(order: MemoryChangeRequest, id: MemoryId, author: AuthorDep, response: Response) -> MemoryChanged:
    """Keep a memory from expiring and from being refused as stale."""
    change = author.changes(order.by).apply(id, order, ChangeKind.PINNED, lambda memory, _: pinned(memory, pin=True))
    return author.answer(await change, response)


@one.post("/unpin", summary="Unpin a memory")
async def unpin_memory(
    order: MemoryChangeRequest, id: MemoryId, author: AuthorDep, response: Response
) -> MemoryChanged:
    """Let a memory expire again."""
    change = author.changes(order.by).apply(id, order, ChangeKind.UNPINNED, lambda memory, _: pinned(memory, pin=False))
    return author.answer(await change, response)


@one.post("/confirm", summary="Confirm a memory")
async def confirm_memory(order: ConfirmRequest, id: MemoryId, author: AuthorDep, response: Response) -> MemoryChanged:
    """State that the version looked at holds: a candidate becomes a fact without its taint, an old one fresh."""
    changes = author.changes(order.by)
    change = partial(confirmed, order=order, by=changes.by)
    return author.answer(await changes.apply(id, order, ChangeKind.CONFIRMED, change), response)


@one.post("/forget", summary="Forget a memory")
async def forget_memory(order: ForgetOneRequest, id: MemoryId, author: AuthorDep, response: Response) -> MemoryGone:
    """Remove a memory with its words and vector, for good: no source brings it back. It cannot be undone."""
    gone = await author.changes(order.by).forget(id, order)
    response.status_code = 200 if gone else 202
    return MemoryGone(id=id, in_effect=gone)


def _place(cursor: str | None) -> Place | None:
    try:
        return place_of(cursor)
    except ValueError:
        action = "take `next_cursor` of a page as it is"
        raise Refused(422, "invalid_request", "query.cursor: is not that of a page", action=action) from None
