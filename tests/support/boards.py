"""Shared steps of tests: boards and claims."""

from schemas.approval import CancelRun
from schemas.log import JournalWritten
from shared.blackboard import keys
from shared.blackboard.board import Author, Post
from shared.blackboard.claims import Wanted
from shared.bus import encode_lean, publish
from tests.support.orchestrating import RUN, completed, delivery, handoff_of


async def live(sentinel, run=RUN, tenant="default"):
    """Let a run be a live one."""
    await sentinel.own.hset(keys.run(tenant, run), "state", '"executing"')
    await sentinel.refresh()


def author(agent="research", run=RUN, tenant="default", step="s1"):
    return Author(run, tenant, agent, step, f"{run}/{step}/0.0")


def post(key="rate", content="4 %", *, place="board-1", kind="finding", expect=None, taint=(), reason="seen"):
    return Post(kind, key, content, reason, expect, taint, place)


def wanted(resource="customer 42", seconds=60.0, place="board-1", reason="to write to them"):
    return Wanted(resource, seconds, reason, place)


def keeping_board(broker, settings, run=RUN, tenant="default"):
    """Appends to the log, as an agent does."""

    async def keep(name, entry):
        written = JournalWritten(tenant=tenant, work_id=f"{run}/board", epoch=0, name=name, entry=entry)
        await publish(broker, [encode_lean(written, key=run, source="/t", prefix=settings.topic_prefix)])

    return keep


async def held(sentinel, run=RUN, tenant="default") -> dict:
    """Everything a board holds, without reservations."""
    found = await sentinel.own.hgetall(keys.board(tenant, run))
    return {name: each for name, each in found.items() if not name.startswith("p:")}


async def cancelled(orchestrator) -> str:
    """Cancel the run of `task` while its agent works; return the handoff. The run settles until that has answered."""
    handoff = await handoff_of(orchestrator)
    await orchestrator.handle(delivery(CancelRun(run_id=RUN, tenant="default", by="ann", reason="enough"), "cancel-1"))
    return handoff


async def ended(orchestrator) -> None:
    """End the run of `task`."""
    await orchestrator.handle(completed(await cancelled(orchestrator)))
