"""Memories in the brief of a step or a plan: recalled once, by its objective, before its model is first asked."""

from datetime import UTC, datetime
from typing import Any, NamedTuple

import structlog

from schemas.memory import MemoryKind, Remembered
from schemas.step import DoStep, Handoff, MakePlan
from shared.agent.handoff_run import HandoffRun
from shared.agent.memory.memories import Asked, Found, Memories
from shared.agent.memory.showing import remembered
from shared.llm import Reply, Vectors
from shared.memory import FAILURES
from shared.telemetry import agent_spans

PLACE = "memory"
"""Name of the journal entry."""

LEAST = 0.2
"""Share of the objective's words, by rarity, that a memory needs: others would only distract."""

LONGEST = 1_000
"""Characters of one memory; the tool `recall` shows more."""

_LONGEST_TURN = 500
"""Characters of the conversation's last turn that are searched for, too."""

_FIRST_TURN = "think-1/turn-1"

log = structlog.get_logger()


class FromMemory(NamedTuple):
    """The part of a brief that comes from memory."""

    shown: list[Remembered]
    offered: bool
    """True if the model may recall more."""


NOTHING = FromMemory([], offered=False)


async def memories_for(handoff_run: HandoffRun) -> FromMemory:
    """Return the memories for the brief: as recorded, or recalled and recorded now; nothing once the model was asked.

    They count as read. Without memories of the tenant nothing is recorded. A failure costs the step its memories only.
    """
    if (entry := await _entry_of(handoff_run)) is None:
        return NOTHING
    shown = [Remembered.model_validate(each) for each in entry["shown"]]
    for each in shown:
        handoff_run.authorizer.remember(each)
    return FromMemory(shown, offered=isinstance(handoff_run.handoff, DoStep))


async def _entry_of(handoff_run: HandoffRun) -> dict[str, Any] | None:
    journal, memories = handoff_run.journal, handoff_run.runtime.memories
    if PLACE in journal:
        recorded: dict[str, Any] = journal[PLACE]
        return recorded
    if memories is None or _FIRST_TURN in journal or not _may_recall(handoff_run):
        return None
    return await _recall(handoff_run, memories)


def vectors_reply(vectors: Vectors) -> dict[str, Any]:
    """Return the answer of the embedding endpoint as the reply in a journal entry, so that its cost is counted."""
    usage = {"model": vectors.model, "usage": vectors.usage, "seconds": 0.0}
    reply = Reply.model_validate({"content": None, "tool_requests": [], "finish_reason": "stop", **usage})
    return reply.model_dump(mode="json")


def _may_recall(handoff_run: HandoffRun) -> bool:
    handoff = handoff_run.handoff
    return isinstance(handoff, DoStep | MakePlan) and handoff.memory and handoff_run.agent.memory


async def _recall(handoff_run: HandoffRun, memories: Memories) -> dict[str, Any] | None:
    """Recall and record; return the entry, or None if the tenant has no memory."""
    tenant, metrics = handoff_run.handoff.tenant, handoff_run.runtime.metrics
    try:
        if not await memories.any(tenant):
            return None
        found = await _found(handoff_run, memories)
        entry = _entry(handoff_run, found)
    except FAILURES as why:
        log.warning("memory_unavailable", run=handoff_run.handoff.run_id, error=str(why))
        metrics.recalls.labels("brief", "unavailable").inc()
        entry = {"shown": [], "unavailable": str(why)[:200]}
    else:
        metrics.recalls.labels("brief", "found" if entry["shown"] else "nothing").inc()
    about = {"kind": "memory", "try": handoff_run.handoff.tries}
    await handoff_run.journal.write(PLACE, entry, of=about)
    if entry["shown"]:
        agent_spans.recalled("brief", len(entry["shown"]))
        await memories.used(tenant, [each["id"] for each in entry["shown"]])
    return entry


async def _found(handoff_run: HandoffRun, memories: Memories) -> Found:
    settings = handoff_run.runtime.settings
    if not settings.memory_in_brief or not settings.memory_brief_tokens:
        return Found([])
    asked = _asked(handoff_run.handoff, settings.memory_in_brief)
    found = await memories.recall(handoff_run.handoff.tenant, asked, handoff_run.budget.spending(PLACE))
    if found.vectors is not None:
        handoff_run.budget.counter.usage += found.vectors.usage
    return found


def _asked(handoff: Handoff, most: int) -> Asked:
    """Return the question: the objective with the last turn, apart from what this run and the conversation show."""
    turns = handoff.conversation.turns if handoff.conversation else []
    words = [handoff.objective, *(turn.objective[:_LONGEST_TURN] for turn in turns[-1:])]
    kinds = (MemoryKind.PROCEDURAL,) if isinstance(handoff, MakePlan) else ()
    runs = (handoff.run_id, *(turn.run_id for turn in turns))
    return Asked("\n".join(words), most, kinds, runs, LEAST)


def _entry(handoff_run: HandoffRun, found: Found) -> dict[str, Any]:
    room = handoff_run.runtime.settings.memory_brief_tokens
    shown = remembered(found.memories, datetime.now(UTC), longest=LONGEST, room=room)
    entry: dict[str, Any] = {"shown": [each.model_dump(mode="json") for each in shown]}
    if found.vectors is not None:
        entry |= {"reply": vectors_reply(found.vectors), "try": handoff_run.handoff.tries}
        entry |= {"attempt": handoff_run.budget.attempt_at(PLACE)}
    return entry
