"""Suites on a swarm: a planted regression is found, an interrupted run resumes, a judge is calibrated."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import asyncpg
import pytest

from services.cli.evaluation.judging import calibrated, judge_for
from shared.evaluation import read_suite
from tests.suites.stack import OBEYED, SHORTER, SuiteStack

SUITE = Path(__file__).parents[2] / "infra" / "suites" / "daily-work.yaml"
CASE = "mail-the-remedy"

REPEAT = 12
"""Trials of an interrupted run: enough that some are left after the first, also on a fast machine."""


@pytest.fixture(scope="module")
async def stack(tmp_path_factory):
    async with SuiteStack(tmp_path_factory.mktemp("suites"), OBEYED) as stack:
        yield stack


@pytest.fixture
async def plant(stack):
    """Plants a sentence in the planner's instructions, for one test."""
    yield stack.plant
    await stack.plant("")


async def waggle(stack, *arguments):
    command = [sys.executable, "-m", "services.cli", *map(str, arguments)]
    known, pipe = os.environ | stack.endpoints, asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, env=known, stdout=pipe, stderr=pipe)
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


def heed_interrupts() -> None:
    """Let Ctrl-C end the process also where the tests run in the background, with that signal ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


async def evaluating(stack, folder, *arguments):
    command = [sys.executable, "-m", "services.cli", "eval", *map(str, arguments), "--results", str(folder)]
    return await asyncio.create_subprocess_exec(
        *command,
        env=os.environ | stack.endpoints,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=heed_interrupts,
    )


async def evaluated(stack, folder, *arguments):
    process = await evaluating(stack, folder, *arguments)
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


def results(folder, id):
    return json.loads((folder / "daily-work" / f"{id}.json").read_text())


async def run_suite(stack, folder, id, *more):
    return await evaluated(stack, folder, "run", SUITE, "--id", id, "--repeat", 7, "--case", CASE, *more)


@pytest.mark.timeout(600)
async def test_a_prompt_that_drops_a_step_is_found(stack, plant, tmp_path):
    code, out, err = await run_suite(stack, tmp_path, "before", "--least", "0.95")
    assert code == 0, out + err
    await plant(SHORTER)
    code, out, err = await run_suite(stack, tmp_path, "after", "--least", "0.95")
    assert code == 1, out + err
    assert "does not call write_report" in out
    code, out, err = await evaluated(stack, tmp_path, "compare", "before", "after", "--fail-on-drop", "--json")
    found = json.loads(out)
    assert (code, found["dropped"], found["lost"], found["gained"]) == (1, True, 7, 0)
    assert found["p"] < 0.05
    assert [each["case"] for each in found["cases"]] == [CASE]
    versions = [results(tmp_path, id)["trials"][0]["versions"]["planner"] for id in ("before", "after")]
    assert versions[0] != versions[1]


async def test_an_interrupted_run_resumes_without_a_second_task(stack, tmp_path):
    options = ("run", SUITE, "--id", "cut", "--case", CASE, "--repeat", REPEAT, "--parallel", 1)
    process = await evaluating(stack, tmp_path, *options)
    assert process.stdout is not None
    while f"1/{REPEAT}".encode() not in (line := await process.stdout.readline()):
        assert line
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert process.returncode == 130
    assert f"--id cut --repeat {REPEAT}".encode() in err
    kept = [json.loads(line) for line in (tmp_path / "daily-work" / "cut.trials.jsonl").read_text().splitlines()]
    assert kept
    code, out, _ = await evaluated(stack, tmp_path, *options)
    assert code == 0
    assert f"{REPEAT - len(kept)} of {REPEAT} trials to run" in out
    trials = results(tmp_path, "cut")["trials"]
    assert [each["number"] for each in trials] == list(range(1, REPEAT + 1))
    assert {each["run_id"] for each in kept} < {each["run_id"] for each in trials}
    repeated, out, _ = await evaluated(stack, tmp_path, *options, "--store")
    assert (repeated, f"0 of {REPEAT} trials to run" in out) == (0, True)
    code, out, err = await evaluated(stack, tmp_path, "report", "daily-work", "--store", "--since", "1h", "--json")
    assert code == 0, err
    [kept] = json.loads(out)
    assert (kept["id"], kept["score"]["passed"], kept["score"]["trials"]) == ("cut", REPEAT, REPEAT)
    postgres = await asyncpg.connect(stack.endpoints["WAGGLE_POSTGRES"])
    stored = await postgres.fetchval("SELECT result FROM suite_runs WHERE id = 'cut'")
    await postgres.close()
    assert trials[0]["run_id"] in stored
    assert "certificate" not in stored.lower()


async def test_a_case_made_of_a_run_passes_and_guards_what_the_run_did(stack, tmp_path):
    original = ("run", SUITE, "--id", "origin", "--case", CASE, "--repeat", 1, "--least", 1)
    assert (await evaluated(stack, tmp_path, *original))[0] == 0
    [trial] = results(tmp_path, "origin")["trials"]
    made = tmp_path / "made" / "mails.yaml"
    made.parent.mkdir()
    options = ("from", trial["run_id"], "--suite", made, "--with-files", "--name", "again")
    code, _, err = await waggle(stack, "case", *options)
    assert (code, "--verdict pass" in err, made.exists()) == (2, True, False)
    assert (await waggle(stack, "feedback", trial["run_id"], "yes", "--by", "ada"))[0] == 0
    while (done := await waggle(stack, "case", *options))[0] == 2:
        await asyncio.sleep(0.2)
    assert done[0] == 0, done
    [case] = read_suite(made).cases
    assert "write_report" in [each.tool for each in [*case.expect.in_order, *case.expect.in_any_order]]
    code, out, err = await evaluated(stack, tmp_path, "run", made, "--id", "made", "--repeat", 2, "--least", 1)
    assert code == 0, out + err
    code, out, _ = await waggle(stack, "case", *options)
    assert (code, [each.name for each in read_suite(made).cases]) == (0, ["again", "again-2"])
    code, out, _ = await waggle(stack, "case", "from", trial["run_id"], "--verdict", "pass")
    assert (code, out.startswith("suite: recorded")) == (0, True)


async def test_a_judge_is_calibrated_by_the_verdicts_of_people(stack):
    suite = read_suite(SUITE)
    judge = judge_for(suite, stack.endpoints)
    found = await asyncio.to_thread(calibrated, judge, suite)
    assert (found.agreed, found.graded, found.trusted) == (4, 4, True)
    assert found.models == ["waggle-simulated"]
