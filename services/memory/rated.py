"""Feedback on runs: a plan that did not solve the problem is forgotten, one that did counts more.

Comments become no memory: they are for people.
"""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from schemas.event import FeedbackGiven, State
from schemas.log import RunChanged
from schemas.memory import Memory, MemoryKind
from schemas.memory_log import MemoryForgotten, MemoryKept
from services.memory.wording import PLAN_WORKED
from shared.bus import decode
from shared.bus.groups import MEMORY
from shared.memory import Selection
from shared.memory.view import MemoryView

NOT_SOLVED, SOLVED = "a person said that the run did not solve the problem", "a person said that the run solved it"

APPROVED = 0.9
"""Importance of a plan of which a person said that it solved the problem."""

LOOKS, PAUSE = 10, 0.3
"""Looks for a plan that was published just before, and seconds between them."""

_TYPE = FeedbackGiven.wire_type()


def feedback_in(record: Any, prefix: str) -> Iterator[FeedbackGiven]:
    """Yield the feedback in a record of the run log."""
    if _TYPE.encode() not in (record.value or b""):
        return
    change = decode(record, prefix).message
    assert isinstance(change, RunChanged), "the run log carries nothing else"
    for each in change.events:
        if each.type == _TYPE:
            yield FeedbackGiven.model_validate(each.data, extra="ignore")


async def after_feedback(view: MemoryView, event: FeedbackGiven) -> list[MemoryKept | MemoryForgotten]:
    """Return what follows for the plan of the run. Once followed, the same feedback gives nothing."""
    found: list[MemoryKept | MemoryForgotten] = []
    for plan in await _plans(view, event):
        if not event.solved:
            gone = {"id": plan.id, "by": MEMORY, "reason": NOT_SOLVED, "at": datetime.now(UTC)}
            found.append(MemoryForgotten(tenant=event.tenant, **gone))
        elif plan.importance < APPROVED:
            stronger = plan.model_copy(update={"importance": APPROVED, "version": plan.version + 1})
            found.append(MemoryKept(memory=stronger, by=MEMORY, reason=SOLVED))
    return found


async def _plans(view: MemoryView, event: FeedbackGiven) -> list[Memory]:
    """Return the memories of the run's plan that no person has pinned."""
    if event.state != State.COMPLETE or event.steps < 2:
        return []
    for _ in range(LOOKS):
        if await view.of_run(event.tenant, event.run_id, event.at):
            break
        await asyncio.sleep(PAUSE)
    which = Selection(run=event.run_id, kind=MemoryKind.PROCEDURAL.value)
    found = await view.store.select(event.tenant, which)
    return [each for each in found if each.content.startswith(PLAN_WORKED) and not each.pinned]
