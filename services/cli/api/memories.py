"""Requests about memories."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from schemas.api.commands import CommandRequest
from schemas.api.memories import (
    ConfirmRequest,
    CorrectRequest,
    ForgetOneRequest,
    ForgetReach,
    ForgetRequest,
    ForgettingPage,
    MemoryChanged,
    MemoryChangeRequest,
    MemoryDetail,
    MemoryGone,
    MemoryPage,
    MemorySearch,
    MemoryView,
)
from schemas.forgetting import Forgetting
from services.cli.api.answers import body
from services.cli.api.paths import MEMORIES, memory_path
from services.cli.api.transport import Transport

LARGEST_PAGE = 200

_BODIES: Mapping[str, type[CommandRequest]] = {
    "correct": CorrectRequest,
    "pin": MemoryChangeRequest,
    "unpin": MemoryChangeRequest,
    "confirm": ConfirmRequest,
}
"""Body of a change, by its verb."""


class MemoryRequests(Transport):
    """Requests about the memories of a tenant."""

    def memories(self, filters: Mapping[str, Any], limit: int) -> MemoryPage:
        """Return the newest memories that match, at most `limit`, as one page."""
        found: list[MemoryView] = []
        query = dict(filters)
        while True:
            query["limit"] = min(limit - len(found), LARGEST_PAGE)
            page = self._one(MemoryPage, "GET", MEMORIES, params=query)
            found += page.memories
            if len(found) >= limit or page.next_cursor is None:
                return page.model_copy(update={"memories": found[:limit]})
            query["cursor"] = page.next_cursor

    def memory(self, id: str) -> MemoryDetail:
        """Return a memory with its sources and uses."""
        return self._one(MemoryDetail, "GET", memory_path(id))

    def search_memories(self, text: str, limit: int, kind: str | None = None) -> MemorySearch:
        """Return the memories that an agent would recall for a text."""
        query = {"text": text, "limit": str(limit)} | ({"kind": kind} if kind else {})
        return self._one(MemorySearch, "GET", f"{MEMORIES}/search", params=query)

    def change_memory(self, id: str, verb: str, **order: Any) -> MemoryChanged:
        """Correct, pin, unpin or confirm a memory."""
        return self._one(MemoryChanged, "POST", memory_path(id, verb), json=body(_BODIES[verb], order))

    def forget_memory(self, id: str, **order: Any) -> MemoryGone:
        """Forget one memory for good."""
        return self._one(MemoryGone, "POST", memory_path(id, "forget"), json=body(ForgetOneRequest, order))

    def forget(self, **order: Any) -> ForgetReach:
        """Forget a selection, or count what that reaches."""
        return self._one(ForgetReach, "POST", f"{MEMORIES}/forget", json=body(ForgetRequest, order))

    def forgettings(self, limit: int) -> ForgettingPage:
        """Return the latest orders to forget, with their reports."""
        return self._one(ForgettingPage, "GET", "/v1/forgettings", params={"limit": str(limit)})

    def forgetting(self, id: str) -> Forgetting:
        """Return one order to forget, with its report."""
        return self._one(Forgetting, "GET", f"/v1/forgettings/{quote(id, safe='')}")
