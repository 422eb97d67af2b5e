"""The evaluator on a real broker and Redis: killed anywhere, each end of a sampled run is evaluated once."""

import asyncio
import json

import pytest

from schemas.approval import RecordEvaluation
from shared import bus
from shared.blackboard import keys
from shared.bus.admin import stream
from tests.support.killed_process import Process
from tests.support.remembering import log, on_blackboard, single

pytestmark = pytest.mark.broker

ALL = '[[sample]]\nname = "all"\nrate = 1.0\n'


@pytest.fixture
async def writer(settings, topics):
    """A broker to write with, on the test's own topics."""
    broker = bus.connect(settings, "test")
    await broker.start()
    yield broker
    await broker.stop()


@pytest.fixture
async def service(settings, topics, sentinel, tmp_path):
    """The evaluator, which can be killed; it samples every run."""
    (tmp_path / "evaluation.toml").write_text(ALL)
    found = Process(settings, "evaluator", WAGGLE_EVALUATION=str(tmp_path / "evaluation.toml"))
    await found.start()
    yield found
    await found.kill()


async def published(settings) -> list[RecordEvaluation]:
    return [
        RecordEvaluation.model_validate_json(each.value)
        async for records in stream(settings, "evaluations")
        for each in records
    ]


async def evaluated(settings, *runs: str) -> dict[str, RecordEvaluation]:
    """Return the evaluations by run, once there is one of each of these."""
    found: dict[str, RecordEvaluation] = {}
    async with asyncio.timeout(60):
        while not set(runs) <= found.keys():
            await asyncio.sleep(0.1)
            found = {each.run_id: each for each in await published(settings)}
    return found


async def journaled(sentinel, run, *, tool: str, times: int) -> None:
    """Write a journal whose turns make the same call so many times."""
    work = f"{run.run_id}/data/0.0"
    entries = {}
    for turn in range(1, times + 1):
        asked = {"name": tool, "arguments": '{"sql": "SELECT 17"}', "id": "c"}
        entries[f"think-1/turn-{turn}"] = {"added": [], "reply": {"tool_requests": [asked]}, "try": 1}
        entries[f"think-1/turn-{turn}/call-1"] = '{"rows": [[17]]}'
    key = keys.journal(run.task.tenant, work)
    await sentinel.own.hset(key, mapping={name: json.dumps(entry) for name, entry in entries.items()})
    await sentinel.own.sadd(keys.journals(run.task.tenant, run.run_id), key)


async def test_a_run_is_checked_with_the_calls_of_its_journals(settings, sentinel, writer, service):
    looping, plain = single("run-loop"), single("run-plain")
    await journaled(sentinel, looping, tool="query", times=4)
    await journaled(sentinel, plain, tool="query", times=1)
    await log(writer, settings, looping, plain)
    found = await evaluated(settings, "run-loop", "run-plain")
    [fault] = found["run-loop"].evaluation.failed
    assert (fault.name, "query 4 times" in fault.why) == ("repeats", True)
    assert found["run-plain"].evaluation.failed == []
    assert found["run-plain"].evaluation.sampled == "all"
    assert (found["run-plain"].tenant, found["run-plain"].by) == ("acme", "evaluator")


async def test_runs_that_end_while_it_is_down_are_checked_afterwards_also_one_that_began_before(
    settings, sentinel, writer, service
):
    begun, ended = single("run-begun"), single("run-ended")
    await log(writer, settings, single("run-first"))
    await log(writer, settings, begun, numbers={1, 2})
    await evaluated(settings, "run-first")
    await service.kill()
    await on_blackboard(sentinel, begun)
    await log(writer, settings, begun, numbers=range(3, 99))
    await log(writer, settings, ended)
    await service.start()
    await evaluated(settings, "run-begun", "run-ended")


async def test_killed_again_and_again_it_evaluates_every_run(settings, sentinel, writer, service):
    runs = [single(f"run-{number}") for number in range(40)]

    async def write():
        for run in runs:
            await log(writer, settings, run)
            await asyncio.sleep(0.05)

    writing = asyncio.create_task(write())
    for _ in range(3):
        await asyncio.sleep(0.7)
        await service.kill()
        await service.start()
    await writing
    found = await evaluated(settings, *(run.run_id for run in runs))
    assert found.keys() == {run.run_id for run in runs}
    by_run = {}
    for each in await published(settings):  # one that is published again says the same
        assert by_run.setdefault(each.run_id, each) == each
