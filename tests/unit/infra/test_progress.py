"""A process that starts is waited for as long as it does something, and no longer."""

import asyncio
import subprocess
import sys

import pytest

from infra import progress as module
from infra.embedded.child import Child, NotReadyError
from infra.progress import Progress
from services.cli.checks import all_checks
from services.cli.checks.check_result import fail, ok

BUSY = "while True: pass"
IDLE = "import time; time.sleep(600)"


def child(tmp_path, program, ready, said):
    return Child(
        "data",
        [sys.executable, "-c", program],
        environment={},
        log=tmp_path / "data.log",
        ready=ready,
        report=lambda name, line: said.append(line),
        cwd=tmp_path,
    )


async def awaited(tmp_path, program, ready, said):
    started = child(tmp_path, program, ready, said)
    started.start(lambda: None)
    try:
        await started.await_ready()
    finally:
        await started.stop(2.0)


async def never():
    return False


async def test_one_that_works_is_waited_for_beyond_the_time_an_idle_one_has(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "STILL", 1.0)
    monkeypatch.setattr(module, "SAY_EVERY", 0.5)
    looks, said = [], []

    async def ready():
        looks.append(1)
        return len(said) >= 6

    await awaited(tmp_path, BUSY, ready, said)
    assert any(line.startswith("still starting, ") and line.endswith(" s CPU") for line in said)


async def test_one_that_does_nothing_is_given_up_and_its_empty_log_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "STILL", 1.0)
    with pytest.raises(NotReadyError, match=r"data did not become ready: it did nothing for 1 s; .*data.log is empty"):
        await awaited(tmp_path, IDLE, never, [])


async def test_one_that_refuses_to_start_ends_the_wait_with_its_last_words_and_is_not_repeated(tmp_path):
    said = []
    program = "import sys; print('WAGGLE_GATE is not TOML', flush=True); sys.exit(1)"
    with pytest.raises(NotReadyError, match=r"(?s)it ended with status 1; the end of .*data.log:\nWAGGLE_GATE is not"):
        await awaited(tmp_path, program, never, said)
    assert said.count("WAGGLE_GATE is not TOML") == 1


def test_work_of_child_processes_counts_as_progress(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "STILL", 0.0)
    shell = subprocess.Popen(["sh", "-c", f"{sys.executable} -c '{BUSY}' & wait"], start_new_session=True)
    progress = Progress(tmp_path / "log")
    try:
        for _ in range(200):
            if not progress.stuck(shell.pid):
                break
            asyncio.run(asyncio.sleep(0.05))
        else:
            pytest.fail("its child's work was not seen")
    finally:
        subprocess.run(["kill", "--", f"-{shell.pid}"], check=True)
        shell.wait()


async def test_doctor_calls_slow_what_answers_late_and_does_not_fail_it(monkeypatch):
    async def late():
        await asyncio.sleep(0.05)
        return [ok("kafka", "it is there")]

    monkeypatch.setattr(all_checks, "SLOW", 0.01)
    found = await all_checks.timed("kafka", late())
    assert [each.level for each in found] == ["ok", "warn"]
    assert found[1].found.startswith("slow: answered after")
    monkeypatch.setattr(all_checks, "WITHIN", 0.01)
    [unfinished] = await all_checks.timed("kafka", late())
    assert (unfinished.level, unfinished.do != "") == ("warn", True)


async def test_doctor_does_not_call_a_failure_slow_as_well(monkeypatch):
    async def failing():
        return [fail("kafka", "nothing answers", "start it")]

    monkeypatch.setattr(all_checks, "SLOW", 0.0)
    assert [each.level for each in await all_checks.timed("kafka", failing())] == ["fail"]
