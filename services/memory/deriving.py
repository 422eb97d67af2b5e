"""Memories of an ended run, derived from its events alone: no model, no clock, no other state."""

from collections.abc import Iterator

from schemas.event import RunStarted
from schemas.memory import Memory, MemoryKind
from services.memory import episodes
from services.memory.episodes import MOST_TAINT, Draft
from services.memory.procedures import procedures
from services.memory.settings import MemorySettings
from services.memory.subjects import subject_of
from services.memory.wording import LONGEST_NAME, short
from shared.memory.turns import MOST_MEMORIES
from shared.runs.conversation import GUARDED, turn_of
from shared.service.ended_runs import Ended

A_TURN = 2
"""Places that a turn has in its session: of the request, and of all that came of it."""


def memories_of(ended: Ended, settings: MemorySettings) -> list[Memory]:
    """Return the memories of an ended run; none of a task that a guardrail refused, or that cannot be read."""
    run = ended.run
    if run.unread or (run.error is not None and run.error.code == GUARDED):
        return []
    drafts = list(_drafts(ended))[:MOST_MEMORIES]
    return [_memory(ended, item, kind, draft, settings) for item, (kind, draft) in enumerate(drafts)]


def _drafts(ended: Ended) -> Iterator[tuple[MemoryKind, Draft]]:
    turn = turn_of(ended.run)
    if any(isinstance(each, RunStarted) for each in ended.events):  # not at the end after a resume
        yield MemoryKind.EPISODIC, episodes.request(ended.run)
    yield MemoryKind.EPISODIC, episodes.outcome(ended.run, turn)
    for each in procedures(ended, turn):
        yield MemoryKind.PROCEDURAL, each
    for each in (*episodes.questions(ended.events), *episodes.steps(ended, turn)):
        yield MemoryKind.EPISODIC, each


def _memory(ended: Ended, item: int, kind: MemoryKind, draft: Draft, settings: MemorySettings) -> Memory:
    run = ended.run
    asked = draft.asked
    created = run.started if asked else run.finished or run.started
    return Memory(
        tenant=run.tenant,
        kind=kind,
        content=draft.content,
        sources=[ended.source(item)],
        created=created,
        importance=draft.importance,
        valid_until=settings.valid_until(kind, created),
        taint=list(draft.taint)[:MOST_TAINT],
        subject=subject_of(run.task),
        agent=draft.agent,
        run=run.id,
        session=short(run.task.session or "", LONGEST_NAME),
        position=A_TURN * ended.turn + (not asked),
    )
