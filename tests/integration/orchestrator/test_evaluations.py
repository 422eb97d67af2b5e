"""Evaluations through the orchestrator on real servers: once, counted, the same after a rebuild."""

import pytest

from schemas.approval import CancelRun, RecordEvaluation
from schemas.event import CheckResult, Evaluation
from shared.service.rebuild import rebuild
from tests.support.orchestrating import RUN, completed, delivery, handoff_of, task

pytestmark = pytest.mark.broker

CHECKS = [CheckResult(name="completed", passed=True), CheckResult(name="sources", passed=False, why="unseen")]
FOUND = Evaluation(end=0, rules="0123456789ab", sampled="all", checks=CHECKS)


def evaluation(mark: str):
    message = RecordEvaluation(run_id=RUN, tenant="default", by="evaluator", evaluation=FOUND)
    return delivery(message, mark)


async def test_an_evaluation_is_recorded_and_counted_once_also_after_a_rebuild(orchestrator, sentinel, settings):
    await orchestrator.handle(task())
    await orchestrator.handle(delivery(CancelRun(run_id=RUN, tenant="default", by="ada", reason="late"), "c1"))
    await orchestrator.handle(completed(await handoff_of(orchestrator)))
    for mark in ("e1", "e1", "e2"):
        await orchestrator.handle(evaluation(mark))
    [series] = orchestrator.parts.metrics.evaluations.collect()
    counts = [each for each in series.samples if each.name == "waggle_evaluations_total"]
    found = {(each.labels["check"], each.labels["passed"]): each.value for each in counts}
    assert found == {("completed", "yes"): 1, ("sources", "no"): 1}
    await sentinel.own.flushall()
    await rebuild(sentinel, settings)
    orchestrator.parts.runs._remembered.clear()
    assert (await orchestrator.parts.runs.load("default", RUN)).run.evaluation == FOUND
