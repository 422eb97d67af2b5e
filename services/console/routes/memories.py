"""Memories: their list, a search, one with the forms that change it, and the forget of a selection."""

from typing import Annotated, TypeAlias
from urllib.parse import quote

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from schemas.api.memories import ForgettingPage, MemoryChanged, MemoryDetail, MemoryGone, MemoryPage, MemorySearch
from schemas.error import ErrorInfo
from schemas.forgetting import Forgetting
from services.console.forms import author_in
from services.console.gateway import GatewayFailure
from services.console.memories import (
    KINDS,
    MARKS,
    SELECTIONS,
    VERBS,
    MemoryFilters,
    change_in,
    memory_path,
    order_in,
    reach_of,
)
from services.console.pages import page, path, see_other
from services.console.visitor import Visitor, VisitorDep

router = APIRouter()

Id: TypeAlias = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")]
OrderId: TypeAlias = Annotated[str, Path(pattern=r"^[!-~]{1,255}$")]
Word: TypeAlias = Annotated[str, Query(max_length=400)]

_NOTICES = {
    **VERBS,
    "pending": "The change is accepted. It shows on this page in a moment; reload it.",
    "forget": "The memory is forgotten for good.",
    "selection": "The selection is being forgotten for good, its memories first. The order shows here soon.",
}


@router.get("/memories")
async def list_memories(visitor: VisitorDep, filters: Annotated[MemoryFilters, Query()], notice: str = "") -> Response:
    """A page of memories, newest first."""
    found = await visitor.gateway.ask(MemoryPage, "GET", "/v1/memories", filters.asked)
    return page(
        visitor,
        "memories.html",
        found=found,
        filters=filters,
        memory_kinds=KINDS,
        memory_marks=MARKS,
        notice=_NOTICES.get(notice, ""),
    )


@router.get("/memories/search")
async def search_memories(visitor: VisitorDep, text: Word = "") -> Response:
    """Memories that an agent would recall for a text."""
    asked = text.strip()
    found = None
    if asked:
        found = await visitor.gateway.ask(MemorySearch, "GET", "/v1/memories/search", {"text": asked, "limit": "20"})
    return page(visitor, "memory_search.html", text=text, found=found)


@router.get("/memories/{id}")
async def show_memory(visitor: VisitorDep, id: Id, notice: str = "") -> Response:
    """A memory with its sources, and the forms that change it."""
    return await _memory(visitor, id, notice=_NOTICES.get(notice, ""))


@router.post("/memories/{id}/correct")
async def correct_memory(visitor: VisitorDep, id: Id) -> Response:
    """Correct a memory."""
    return await _change(visitor, id, "correct")


@router.post("/memories/{id}/pin")
async def pin_memory(visitor: VisitorDep, id: Id) -> Response:
    """Pin a memory."""
    return await _change(visitor, id, "pin")


@router.post("/memories/{id}/unpin")
async def unpin_memory(visitor: VisitorDep, id: Id) -> Response:
    """Unpin a memory."""
    return await _change(visitor, id, "unpin")


@router.post("/memories/{id}/confirm")
async def confirm_memory(visitor: VisitorDep, id: Id) -> Response:
    """Confirm a memory."""
    return await _change(visitor, id, "confirm")


@router.post("/memories/{id}/forget")
async def forget_memory(visitor: VisitorDep, id: Id) -> Response:
    """Forget a memory."""
    form = await visitor.form()
    order = {each: form[each] for each in ("reason", "version") if form.get(each)} | author_in(form)
    try:
        await visitor.gateway.ask(MemoryGone, "POST", memory_path(id, "forget"), body=order)
    except GatewayFailure as failure:
        return await _memory(visitor, id, failure)
    return see_other(visitor, path("memories", tenant=visitor.tenant, notice="forget"))


@router.get("/forget")
async def forget_form(visitor: VisitorDep, by: str = "", value: Word = "") -> Response:
    """The form of a selection to forget; once it is named, what that reaches."""
    return await _forget(visitor, by, value)


@router.post("/forget")
async def forget(visitor: VisitorDep) -> Response:
    """Forget a selection that was counted before."""
    form = await visitor.form()
    kind, value = form.get("kind", ""), form.get("value", "")
    order = order_in(kind, value) | {each: form[each] for each in ("reason", "expected") if form.get(each)}
    try:
        await reach_of(visitor.gateway, order | author_in(form))
    except GatewayFailure as failure:
        return await _forget(visitor, kind, value, failure)
    return see_other(visitor, path("forgettings", tenant=visitor.tenant, notice="selection"))


@router.get("/forgettings")
async def list_forgettings(visitor: VisitorDep, notice: str = "") -> Response:
    """Orders to forget, and how far they are."""
    found = await visitor.gateway.ask(ForgettingPage, "GET", "/v1/forgettings", {"limit": "100"})
    return page(visitor, "forgettings.html", found=found, notice=_NOTICES.get(notice, ""))


@router.get("/forgettings/{id:path}")
async def show_forgetting(visitor: VisitorDep, id: OrderId) -> Response:
    """The report of one order, store by store."""
    found = await visitor.gateway.ask(Forgetting, "GET", f"/v1/forgettings/{quote(id, safe='')}")
    return page(visitor, "forgetting.html", found=found)


async def _change(visitor: Visitor, id: str, verb: str) -> Response:
    form = await visitor.form()
    try:
        body = change_in(verb, form) | author_in(form)
        changed = await visitor.gateway.ask(MemoryChanged, "POST", memory_path(id, verb), body=body)
    except GatewayFailure as failure:
        return await _memory(visitor, id, failure, form.get("content"))
    return see_other(
        visitor, path("memories", id, tenant=visitor.tenant, notice=verb if changed.in_effect else "pending")
    )


async def _memory(
    visitor: Visitor, id: str, failure: GatewayFailure | None = None, content: str | None = None, notice: str = ""
) -> Response:
    found = await visitor.gateway.ask(MemoryDetail, "GET", memory_path(id))
    status, error = (failure.status, failure.error) if failure else (200, None)
    return page(visitor, "memory.html", status, found=found, failure=error, content=content, notice=notice)


async def _forget(visitor: Visitor, kind: str, value: str, failure: GatewayFailure | None = None) -> Response:
    """Return the form; with a selection, what it reaches now."""
    found, error = None, failure.error if failure else None
    if kind in SELECTIONS and (value.strip() or kind == "everything"):
        try:
            found = await reach_of(visitor.gateway, order_in(kind, value) | {"dry_run": True, "by": "console"})
        except GatewayFailure as refused:
            failure = failure or refused
            error = failure.error
    elif kind:
        error = ErrorInfo(code="missing_field", message="No selection is named.", suggested_action="Name one.")
    status = failure.status if failure else 422 if error else 200
    return page(visitor, "forget.html", status, found=found, kind=kind, value=value, kinds=SELECTIONS, failure=error)
