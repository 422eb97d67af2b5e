"""Rebuilds from logs that are not whole, have other partitions than before, or are long."""

import asyncio
import sys

import pytest

from schemas.acting import ActingCall
from schemas.approval import CancelRun, PauseRun
from schemas.event import State
from schemas.log import GenerationBegun
from schemas.task import Result
from services.orchestrator import outbox
from shared.blackboard import keys
from shared.bus import encode, publish_once
from shared.errors import LogDamaged
from shared.service.rebuild import rebuild
from tests.support.gateway_fixtures import records_of
from tests.support.orchestrating import RUN, completed, delivery, handoff_of, task

rebuilding = sys.modules["shared.service.rebuild.rebuild"]


@pytest.fixture
def losing(monkeypatch):
    """Have the second change of the run lost on its way to Kafka."""

    def lose() -> None:
        publish = outbox.publish

        async def publishing(broker, records):
            await publish(broker, [each for each in records if not each.id.endswith(".2")])

        monkeypatch.setattr(outbox, "publish", publishing)

    return lose


async def test_a_live_run_with_a_gap_in_its_log_ends_with_one_result_that_says_so(
    orchestrator, sentinel, settings, losing
):
    await orchestrator.handle(task())
    losing()
    await orchestrator.handle(completed(await handoff_of(orchestrator)))
    await orchestrator.handle(delivery(PauseRun(run_id=RUN, tenant="default", by="ada", reason="wait"), "p1"))
    for _ in range(2):
        await sentinel.own.flushall()
        report = await rebuild(sentinel, settings)
    assert report.incomplete == []
    [result] = [Result.read(each.value) for each in await records_of(settings, "results", 1)]
    assert (result.run_id, result.task_id, result.status) == (RUN, "t1", "failed")
    assert result.error.code == "incomplete_log"
    loaded = await orchestrator.parts.runs.load("default", RUN)
    assert (loaded.run.state, loaded.version) == (State.FAILED, 4)


def paid(call: str) -> ActingCall:
    about = {"agent": "data", "tool": "pay", "effect": "irreversible", "digest": call, "outcome": "made"}
    return ActingCall(work_id=f"{RUN}/data/0.0", call=call, **about)


async def test_the_result_of_an_incomplete_log_lists_the_calls_that_are_known_also_behind_the_gap(
    orchestrator, sentinel, settings, losing
):
    await orchestrator.handle(task())
    handoff_id = await handoff_of(orchestrator)
    losing()
    await orchestrator.handle(delivery(PauseRun(run_id=RUN, tenant="default", by="ada", reason="wait"), "p1"))
    await orchestrator.handle(completed(handoff_id, effected=[paid("call-1"), paid("call-2")]))
    await sentinel.own.flushall()
    await rebuild(sentinel, settings)
    [result] = [Result.read(each.value) for each in await records_of(settings, "results", 1)]
    assert [each.call for each in result.acting_calls] == ["call-1", "call-2"]
    assert result.incomplete_effects


async def test_an_ended_run_is_not_restarted_when_its_log_is_incomplete(orchestrator, sentinel, settings, losing):
    await orchestrator.handle(task())
    handoff_id = await handoff_of(orchestrator)
    losing()
    await orchestrator.handle(delivery(PauseRun(run_id=RUN, tenant="default", by="ada", reason="wait"), "p1"))
    await orchestrator.handle(delivery(CancelRun(run_id=RUN, tenant="default", by="ada", reason="no need"), "c1"))
    await orchestrator.handle(completed(handoff_id, effected=[paid("call-1")]))
    await records_of(settings, "results", 1)
    await sentinel.own.flushall()
    report = await rebuild(sentinel, settings)
    assert (report.incomplete, report.ended) == ([RUN], [])
    before = await orchestrator.parts.runs.load("default", RUN)
    assert (before.run.state, before.run.unread, before.version) == (State.FAILED, True, 4)
    assert 0 < await sentinel.own.ttl(keys.run("default", RUN)) <= settings.state_ttl
    again = task()
    await orchestrator.handle(delivery(again.message, "t2"))
    after = await orchestrator.parts.runs.load("default", RUN)
    assert (after.run.steps, after.version) == ({}, 4)
    assert [each.call for each in after.run.effected] == ["call-1"]
    assert len(await records_of(settings, "results", 1)) == 1


async def test_a_run_that_is_whole_in_redis_is_untouched_even_if_its_log_is_incomplete(
    orchestrator, sentinel, settings, losing
):
    await orchestrator.handle(task())
    losing()
    await orchestrator.handle(completed(await handoff_of(orchestrator)))
    before = await orchestrator.parts.runs.load("default", RUN)
    await sentinel.remove()
    report = await rebuild(sentinel, settings)
    after = await orchestrator.parts.runs.load("default", RUN)
    assert (report.ended, after.run, after.version) == ([], before.run, before.version)


async def test_a_log_with_fewer_partitions_than_before_is_not_taken_for_the_whole(orchestrator, sentinel, settings):
    await orchestrator.handle(task())
    await rebuild(sentinel, settings)
    begun = GenerationBegun(epoch=90, at=task().envelope.time, partitions={"runs.log": 64, "journal": 1})
    how = {"source": "/test", "prefix": settings.topic_prefix, "now": begun.at, "key": "blackboard"}
    await publish_once(settings, encode(begun, id="generation/90", **how))
    with pytest.raises(LogDamaged, match=r"runs\.log has \d+ partitions; the blackboard was last made from 64"):
        await rebuild(sentinel, settings)
    assert await sentinel.refresh(), "it was left as it was"
    again = begun.model_copy(update={"epoch": 91, "partitions": {"runs.log": 1}})
    await publish_once(settings, encode(again, id="generation/91", **how))
    assert (await rebuild(sentinel, settings)).epoch == 92


MEASURED = """
import asyncio, resource, sys
from tests.support.fold import changes_of
from shared.blackboard import Restorer
from shared.service.rebuild.report import Report
from shared.service.rebuild.restoring import Restoring
from shared.service.rebuild.spill import Row, Spill
from shared.config import Settings

class Kept:
    async def drop_outdated(self, records): return records
    async def write_runs(self, records): pass
    async def write_costs(self, costs): pass

def rss(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

async def main(count):
    model = [each.written() for each in changes_of(cancelled=False)]
    spill, report = Spill(), Report()
    restoring = Restoring(Kept(), {}, Settings(), report)
    before = rss()
    for number in range(count):
        name = f"run-{number:06}"
        spill.add([Row(name, 10**12, 0, each.replace("run-1", name).encode()) for each in model])
    spill.build_index()
    await restoring.runs(spill)
    spill.close()
    assert report.restored == count
    print(rss() - before)

asyncio.run(main(int(sys.argv[1])))
"""


async def test_a_rebuild_of_thousands_of_runs_takes_no_more_memory_than_one_of_a_few():
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", MEASURED, "1000", stdout=asyncio.subprocess.PIPE, env={"PYTHONPATH": "."}
    )
    out, _ = await child.communicate()
    assert child.returncode == 0
    assert float(out.split()[-1]) < 60
