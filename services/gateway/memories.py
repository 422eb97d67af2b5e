"""Memories as callers see them: their state, why they are here, and what is withheld without the role `contents`."""

from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import quote

from schemas.api.memories import (
    FoundMemory,
    MemoryDetail,
    MemoryPage,
    MemoryQuery,
    MemoryState,
    MemoryView,
    SourceView,
)
from schemas.memory import ChangeKind, Memory, MemoryKind, Recalled, Source, age_text
from services.gateway.access import Caller
from shared.access.principals import Role
from shared.memory.freshness import standing_of
from shared.memory.listing import Filters, Listed, Place
from shared.memory.query import Query, read_query
from shared.memory.store import Selection
from shared.memory.terms import STOP_WORDS, query_terms, terms, words

HIDDEN = "…"
"""Stands for content that the caller may not see."""

_FOUND_BY = {
    "vector": "is near in meaning",
    "neighbour": "is next to another one that was found, in its conversation",
}
_MOST_WORDS = 8


def view_of(listed: Listed, caller: Caller, now: datetime | None = None) -> MemoryView:
    """Return a memory as the caller may see it."""
    now = now or datetime.now(UTC)
    withheld = not caller.may(Role.CONTENTS)
    return MemoryView(
        memory=_without_contents(listed.memory) if withheld else listed.memory,
        state=state_of(listed.memory, now),
        standing=standing_of(listed.memory, now).value,
        uses=listed.uses,
        last_used=listed.last_used,
        withheld=withheld,
    )


def detail_of(listed: Listed, caller: Caller) -> MemoryDetail:
    """Return a memory with its sources and the reason for its importance."""
    memory = listed.memory
    about = f"?tenant={memory.tenant}"
    return MemoryDetail(
        **dict(view_of(listed, caller)),
        sources=[SourceView(**dict(each), link=_link(each)) for each in memory.sources],
        run_link=f"/v1/runs/{quote(memory.run, safe='')}{about}" if memory.run else "",
        importance_reason=importance_reason(memory),
    )


def found_view(found: Recalled, text: str, caller: Caller, now: datetime) -> FoundMemory:
    """Return a recalled memory with its reasons in words."""
    listed = Listed(found.memory, found.access_count, found.last_accessed)
    reasons = _reasons(found, read_query(text))
    view = view_of(listed, caller, now)
    return FoundMemory(view=view, score=found.score, found_by=found.found_by, reasons=reasons)


def page_of(found: Sequence[Listed], limit: int, caller: Caller, *, empty: bool) -> MemoryPage:
    """Return a page of a list that was read with one memory more than the page has."""
    shown, now = found[:limit], datetime.now(UTC)
    last = shown[-1].memory if len(found) > limit else None
    return MemoryPage(
        memories=[view_of(each, caller, now) for each in shown],
        next_cursor=f"{last.created.isoformat()}~{last.id}" if last else None,
        empty=empty,
    )


def state_of(memory: Memory, now: datetime) -> MemoryState:
    """Return the state of a memory. A pinned one never expires."""
    if memory.candidate:
        return "candidate"
    if memory.valid_from and memory.valid_from > now:
        return "future"
    expired = memory.valid_until is not None and memory.valid_until <= now and not memory.pinned
    return "expired" if expired else "kept"


def filters_of(query: MemoryQuery) -> Filters:
    """Return the conditions of a list."""
    about = Selection(query.subject, query.run, query.session, query.kind.value if query.kind else None)
    return Filters(about, query.tainted, query.candidate, query.pinned, query.text or "")


def place_of(cursor: str | None) -> Place | None:
    """Return the place of a cursor. Raises ValueError for one that no page has given."""
    if cursor is None:
        return None
    created, _, id = cursor.partition("~")
    place = Place(datetime.fromisoformat(created), id)
    if place.created.tzinfo is None:
        raise ValueError("a time without its offset from UTC")
    return place


_WEIGHED = {
    MemoryKind.EPISODIC: "more if a call acted or the run failed, less if its answer is doubtful",
    MemoryKind.SEMANTIC: "as the model weighed it that found the fact, within bounds",
    MemoryKind.PROCEDURAL: "more if a person said it, or accepted the plan",
}
"""Rules by which `services/memory` weighs what it derives."""


def importance_reason(memory: Memory) -> str:
    """Return why a memory has its importance, in words."""
    corrected = [each for each in memory.changes if each.kind is ChangeKind.CORRECTED]
    why = f"set or left so by {corrected[-1].by} in version {corrected[-1].version}" if corrected else ""
    return f"{memory.importance:.2f}: {why or _WEIGHED[memory.kind]}"


def _link(source: Source) -> str:
    place = f"partitions/{source.partition}/records?before={source.offset + 1}&limit=1"
    return f"/v1/topics/{quote(source.topic, safe='')}/{place}"


def _reasons(found: Recalled, query: Query) -> list[str]:
    """Return why a recall has found a memory, in words."""
    memory = found.memory
    known = set(terms(memory.content))
    shared = [each for each in words(query.text) if known & set(query_terms(each)) and each not in STOP_WORDS]
    reasons = [f"shares the words: {', '.join(dict.fromkeys(shared[:_MOST_WORDS]))}"] if shared else []
    reasons += [_FOUND_BY[each] for each in found.found_by if each in _FOUND_BY]
    reasons += [f"is about {memory.subject}"] if query.names(memory.subject) else []
    reasons += ["is of a date that the text names"] if query.dates.given and query.dates.fit(memory.created) else []
    return [*reasons, f"importance {memory.importance:.2f}", f"{age_text(found.age_seconds)} old"]


def _without_contents(memory: Memory) -> Memory:
    changes = [each.model_copy(update={"reason": ""}) for each in memory.changes]
    hidden = {"content": HIDDEN, "subject": "", "changes": changes, "taint": [HIDDEN] if memory.taint else []}
    return memory.model_copy(update=hidden)
