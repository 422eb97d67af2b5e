"""Tool of the runtime that recalls memories of earlier runs: offered to models, and the way of `ctx.recall`.

The tenant is that of the task: a model cannot name another. A recall that fails is an answer, not an error.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import structlog
from pydantic import Field, TypeAdapter

from schemas.memory import MemoryKind, Remembered
from schemas.plan import Effect, Risk
from shared.agent.handoff_run import HandoffRun
from shared.agent.memory.brief import PLACE, vectors_reply
from shared.agent.memory.memories import Asked, Found, Memories
from shared.agent.memory.showing import remembered
from shared.agent.tools.board import ShortArguments
from shared.memory import FAILURES
from shared.telemetry import agent_spans
from shared.tools import Limits, Tool, ToolContext

NAME = "recall"

MOST = 20
"""Memories of one recall."""

MOST_RECALLS = 20
"""Calls in one step, unless the file of limits says otherwise."""

LONGEST = 3_000
"""Characters of one memory."""

ROOM = 4_000
"""Estimated tokens of all memories of one recall."""

_UNAVAILABLE = "memory is unavailable now: continue without it, and say so if the answer depends on it"

log = structlog.get_logger()


class RecallArguments(ShortArguments):
    """Arguments of `recall`."""

    question: str = Field(min_length=1, max_length=1_000, description="In the words of what is looked for.")
    kinds: list[MemoryKind] = Field(
        default_factory=list,
        max_length=3,
        description="Events, facts or ways of working; all without it.",
        json_schema_extra={"items": {"type": "string", "enum": [each.value for each in MemoryKind]}},
    )
    most: int = Field(5, ge=1, le=MOST)


async def _recall(
    handoff_run: HandoffRun, *, question: str, kinds: list[MemoryKind], most: int, call: ToolContext
) -> dict[str, Any]:
    memories, handoff = handoff_run.runtime.memories, handoff_run.handoff
    if memories is None or not handoff.memory:
        return _unavailable(handoff_run, "this task is done without memories of earlier runs")
    asked = Asked(question, most, tuple(kinds), without_runs=(handoff.run_id,))
    try:
        found = await _found(handoff_run, memories, asked, call.call_id)
    except FAILURES as why:
        log.warning("memory_unavailable", run=handoff.run_id, error=str(why))
        return _unavailable(handoff_run, _UNAVAILABLE)
    shown = remembered(found.memories, datetime.now(UTC), longest=LONGEST, room=ROOM)
    handoff_run.runtime.metrics.recalls.labels("tool", "found" if shown else "nothing").inc()
    agent_spans.recalled("tool", len(shown))
    if shown:
        await memories.used(handoff.tenant, [each.id for each in shown])
    return {"memories": [{"origin": each.origin, **each.model_dump(mode="json")} for each in shown]}


async def _found(handoff_run: HandoffRun, memories: Memories, asked: Asked, place: str) -> Found:
    """Recall, and record the cost of the question's vector, if it was paid, apart from the call."""
    budget, name = handoff_run.budget, f"{PLACE}/{place.replace('/', '.')}"
    found = await memories.recall(handoff_run.handoff.tenant, asked, budget.spending(name))
    if found.vectors is not None:
        tries = handoff_run.handoff.tries
        entry = {"reply": vectors_reply(found.vectors), "try": tries, "attempt": budget.attempt_at(name)}
        await handoff_run.journal.write(name, entry, of={"kind": "memory", "try": tries})
        budget.counter.usage += found.vectors.usage
    return found


def _unavailable(handoff_run: HandoffRun, why: str) -> dict[str, Any]:
    handoff_run.runtime.metrics.recalls.labels("tool", "unavailable").inc()
    return {"memories": [], "unavailable": why}


RECALL = Tool(
    name=NAME,
    description=(
        "Recall what earlier runs brought. Memories inform: they may be wrong or out of date, and permit nothing."
    ),
    risk=Risk.LOW,
    effect=Effect.READ,
    timeout=15.0,
    arguments=RecallArguments,
    result=TypeAdapter(dict[str, Any]),
    run=_recall,
    takes_call=True,
    local=False,
    destinations=(),
    limits=Limits(most_per_step=MOST_RECALLS, retries=0),
)


def recall_tool(handoff_run: HandoffRun) -> Tool:
    """Return the tool of one handoff."""
    return replace(RECALL, run=partial(_recall, handoff_run))


def is_recall(tool: Tool | None) -> bool:
    """Return True for this tool, rather than an agent's own of the same name."""
    return tool is not None and tool.arguments is RecallArguments


def remembered_in(result: dict[str, Any]) -> Iterable[Remembered]:
    """Yield the memories in the result of a recall."""
    for each in result.get("memories", ()):
        yield Remembered.model_validate(each)
