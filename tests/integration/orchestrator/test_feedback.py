"""Feedback through the orchestrator on real servers: screened, once, counted, the same after a rebuild."""

import pytest

from schemas.approval import CancelRun, Feedback
from shared.errors import RetryableError
from shared.service.rebuild import rebuild
from tests.support.orchestrating import RUN, completed, delivery, handoff_of, task

pytestmark = pytest.mark.broker

TOKEN = "ghp_" + "a1B2c3D4e5F6" * 3


def said(mark: str, *, solved: bool, comment: str = ""):
    return delivery(Feedback(run_id=RUN, tenant="default", by="ada", solved=solved, comment=comment), mark)


async def ratings(orchestrator) -> list[tuple[bool, str, int]]:
    run = (await orchestrator.parts.runs.load("default", RUN)).run
    return [(each.solved, each.comment, each.times) for each in run.ratings]


async def test_feedback_counts_once_and_the_latest_counts_also_after_a_rebuild(orchestrator, sentinel, settings):
    await orchestrator.handle(task())
    with pytest.raises(RetryableError):
        await orchestrator.handle(
            delivery(Feedback(run_id="run-unknown", tenant="default", by="ada", solved=True), "c0")
        )
    await orchestrator.handle(delivery(CancelRun(run_id=RUN, tenant="default", by="ada", reason="late"), "c1"))
    await orchestrator.handle(completed(await handoff_of(orchestrator)))
    for mark, solved in (("c2", True), ("c3", False), ("c2", True)):
        await orchestrator.handle(said(mark, solved=solved, comment=f"use {TOKEN} for it"))
    [(solved, comment, times)] = await ratings(orchestrator)
    assert (solved, times) == (False, 2)
    assert (TOKEN in comment, "for it" in comment) == (False, True)
    [series] = orchestrator.parts.metrics.feedback.collect()
    counts = {each.labels["solved"]: each.value for each in series.samples if each.name == "waggle_feedback_total"}
    assert counts == {"yes": 1, "no": 1}
    before = await ratings(orchestrator)
    await sentinel.own.flushall()
    await rebuild(sentinel, settings)
    orchestrator.parts.runs._remembered.clear()
    assert await ratings(orchestrator) == before
