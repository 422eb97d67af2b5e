"""Memories whose every field is a text, for the console's pages."""

from datetime import timedelta

from schemas.api.memories import (
    ForgetReach,
    ForgettingPage,
    FoundMemory,
    MemoryChanged,
    MemoryDetail,
    MemoryPage,
    MemorySearch,
    MemoryView,
    SourceView,
)
from schemas.forgetting import Forgetting, StoreForgotten
from schemas.memory import ChangeKind, Memory, MemoryChange, MemoryKind, Source
from tests.support.console_letters import NOW

MEMORY = "0" * 32
PATH = f"/memories/{MEMORY}"

TABLE = [
    ("/memories", "/memories", "plain"),
    ("/memories", "/memories?kind=semantic&mark=candidate&text=%3Cscript%3E&cursor=2026", "hostile"),
    ("/memories", "/memories?notice=forget", "empty"),
    ("/memories", "/memories?subject=Ada", "refused"),
    ("/memories/search", "/memories/search", "plain"),
    ("/memories/search", "/memories/search?text=%3Cscript%3E", "hostile"),
    ("/memories/search", "/memories/search?text=orders", "empty"),
    ("/memories/{id}", PATH, "plain"),
    ("/memories/{id}", f"{PATH}?notice=correct", "hostile"),
    ("/memories/{id}", PATH, "ended"),
    ("/memories/{id}", PATH, "unknown"),
    ("/memories/{id}", PATH, "hostile", "#correct summary"),
    ("/memories/{id}", PATH, "hostile", "#forget summary"),
    ("/forgettings", "/forgettings?notice=selection", "plain"),
    ("/forgettings", "/forgettings", "hostile"),
    ("/forgettings", "/forgettings", "empty"),
    ("/forgettings/{id:path}", "/forgettings/forget/0/1", "hostile"),
    ("/forgettings/{id:path}", "/forgettings/forget/0/1", "unknown"),
    ("/forget", "/forget", "plain"),
    ("/forget", "/forget?by=subject&value=%3Cscript%3E", "hostile"),
    ("/forget", "/forget?by=subject", "plain"),
    ("/forget", "/forget?by=everything", "refused"),
]
"""Routes of memories, their pages, the gateway that puts each in its state, and a button that is pressed there."""


def memory(text: str) -> Memory:
    change = {"by": text[:200], "reason": text[:500], "at": NOW}
    return Memory(
        kind=MemoryKind.SEMANTIC,
        content=text,
        sources=[Source(topic="runs.log", offset=4)],
        created=NOW,
        valid_from=NOW,
        valid_until=NOW + timedelta(days=1),
        taint=[text[:200]],
        subject=text[:200],
        agent=text[:200],
        run=text[:200],
        session=text[:200],
        version=2,
        confirmed=NOW,
        confirmed_by=text[:200],
        changes=[MemoryChange(version=2, kind=ChangeKind.CORRECTED, **change)],
    )


def view(text: str, *, candidate: bool = True) -> MemoryView:
    """A candidate, or a pinned memory of a caller who may see no contents."""
    found = memory(text)
    if candidate:
        return MemoryView(memory=found, state="candidate", standing="old", uses=1_200, last_used=NOW)
    kept = found.model_copy(update={"taint": [], "candidate": False, "pinned": True, "changes": [], "subject": ""})
    return MemoryView(memory=kept, state="kept", withheld=True)


def detail(text: str, *, candidate: bool = True) -> MemoryDetail:
    source = SourceView(topic="runs.log", partition=0, offset=4, item=0, link=text)
    about = {"sources": [source, source], "run_link": text, "importance_reason": text}
    return MemoryDetail(**dict(view(text, candidate=candidate)), **about)


def answers(text: str, *, candidate: bool = True) -> dict:
    """Answers of a gateway to what is read of memories, by path."""
    views = [view(text), view(text, candidate=False)]
    found = [FoundMemory(view=each, score=0.5, found_by=["text"], reasons=[text, text]) for each in views]
    return {
        "memories": lambda: MemoryPage(memories=views, next_cursor=f"2026-11-30T00:00:00+00:00~{MEMORY}"),
        "memories/search": lambda: MemorySearch(found=found, by_meaning=False),
        "forgettings": lambda: ForgettingPage(forgettings=[forgetting(text)]),
        "forgettings/forget/0/1": lambda: forgetting(text),
        f"memories/{MEMORY}": lambda: detail(text, candidate=candidate),
    }


def forgetting(text: str) -> Forgetting:
    """A report of an order that waits, with a store that still holds something."""
    store = StoreForgotten(store=text[:300], removed=1_200, remaining=3, until=NOW, note=text[:500])
    about = {"id": "forget/0/1", "tenant": "default", "kind": "subject", "named": text[:300], "by": text[:200]}
    return Forgetting(**about, ordered=NOW, state="waiting", runs=["run-a"], live=["run-a"], stores=[store])


def changed(text: str, path: str):
    """The answer to a change, or to an order to forget."""
    if path.endswith("/v1/memories/forget"):
        return ForgetReach(memories=3, candidates=1, runs=2, files=1, complete=False)
    return MemoryChanged(memory=view(text), before=memory(text), in_effect=True)
