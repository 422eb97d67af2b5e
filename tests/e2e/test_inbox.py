"""An inbox worked through by keyboard in a real Chromium, while replicas of console and gateway are killed.

`python -m tests.e2e.test_inbox 100 20` answers 100 questions with a kill every 20 s, and prints the time it took.
"""

import asyncio
import os
import re
import shutil
import sys
import tempfile
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.conftest import started
from tests.support.approvals import mails_to
from tests.support.inbox import Person, kill_in_turn, replicas
from tests.support.signers import Signers
from tests.support.swarm import follow, submit

playwright = pytest.importorskip("playwright.async_api", reason="playwright is not installed")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed: apt-get install chromium")

QUESTIONS, EVERY = 10, 1.0
REPLIES = ("approve", "reject", "approve", "skip", "respond")
ENDED = {"COMPLETE", "FAILED", "REJECTED", "CANCELLED"}


def reply_for(number: int) -> str:
    return REPLIES[number % len(REPLIES)]


def choose(page: str) -> str:
    """The answer to the question on a page, by the number in its addresses."""
    return reply_for(int(re.search(r"item(\d{3})-", page)[1]))


def readers(number: int) -> list[str]:
    return [f"item{number:03}-{each}@example.org" for each in "abcdef"]


@asynccontextmanager
async def swarm_with(folder: Path, signers: Signers, environment: dict[str, str]):
    """The services a mail needs, two gateways and two consoles: one of each is killed at a time."""
    given = {"WAGGLE_KEYS": str(signers.file), "WAGGLE_SIGNING_KEY": signers.secret}
    services = ["orchestrator", "timekeeper", "communication", "reviewer"]
    async with started(folder, os.environ | environment | given, services) as stack:
        own = dict(stack._environment) | stack.endpoints | given
        async with (
            replicas("gateway", own | {"WAGGLE_ALLOWED_HOSTS": "127.0.0.1"}, folder) as (gateway, gateways),
            replicas("console", own | {"WAGGLE_GATEWAY": gateway}, folder) as (console, consoles),
        ):
            yield stack, gateway, console, list(zip(gateways, consoles, strict=True))


@asynccontextmanager
async def person_at(console: str, key: str):
    """A person who has logged in, in a browser without JavaScript."""
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        context = await browser.new_context(java_script_enabled=False)
        someone = Person(await context.new_page(), console)
        await someone.log_in(key)
        yield someone
        await browser.close()


async def waiting(gateway, count: int) -> None:
    """Return when so many questions are open."""
    async with asyncio.timeout(180):
        while len((await gateway.get("/v1/approvals", params={"limit": 200})).json()["approvals"]) < count:
            await asyncio.sleep(0.5)


async def state_of(gateway, run_id: str) -> str:
    for _ in range(40):
        try:
            return (await gateway.get(f"/v1/runs/{run_id}")).json()["state"]
        except (httpx.HTTPError, KeyError):  # a replica was killed
            await asyncio.sleep(0.25)
    raise AssertionError("no gateway answers")


async def work_through(parts, signers: Signers, questions: int, every: float) -> tuple[float, Person, list[str]]:
    """Let a person answer everything; return the seconds at the keyboard, the person, and the services killed."""
    stack, gateway_url, console, victims = parts
    bearer, killed = signers.bearer("ada@example.com"), []
    async with httpx.AsyncClient(base_url=gateway_url, timeout=30, trust_env=False, headers=bearer) as gateway:
        runs = {}
        for number in range(questions):
            objective = f"Write a short note on tides and mail it to {', '.join(readers(number))}"
            budget = {"seconds": 900}
            runs[number] = await submit(gateway, objective, shape="single", agent="communication", budget=budget)
        await waiting(gateway, questions)
        seconds, killing = 0.0, asyncio.create_task(kill_in_turn(victims, every, killed))
        async with person_at(console, signers.api["ada@example.com"]) as person:
            while not all([await state_of(gateway, each) in ENDED for each in runs.values()]):
                seconds += await person.answer_all(choose)
                await asyncio.sleep(0.2)
        killing.cancel()
        await asyncio.gather(killing, return_exceptions=True)
        dead = [each for group in victims for each in group if each.process.returncode is not None]
        await asyncio.gather(*(each.start() for each in dead))
        await check(stack, gateway, runs)
    return seconds, person, killed


async def check(stack, gateway, runs: dict[int, str]) -> None:
    """Each question was decided once, each approved mail was sent once, and no other was sent."""
    for number, run_id in runs.items():
        events = [event for kind, event in await follow(gateway, run_id) if kind == "waggle.help-answered.v1"]
        decided = Counter(each["request_id"] for each in events)
        assert set(decided.values()) == {1}, decided
        assert {each["reply"] for each in events} == {reply_for(number)}, number
        assert {each["by"] for each in events} == {"ada@example.com"}
        assert len(mails_to(stack, readers(number)[0])) == (reply_for(number) == "approve"), number


@pytest.mark.timeout(400)
async def test_every_question_is_decided_once_and_for_its_own_call_while_replicas_die(own_kafka, model, tmp_path):
    signers = Signers(tmp_path)
    environment = {"WAGGLE_KAFKA": own_kafka, "OPENAI_BASE_URL": f"{model}/v1", "OPENAI_API_KEY": "x"}
    async with swarm_with(tmp_path / "swarm", signers, environment) as parts:
        _, person, killed = await work_through(parts, signers, QUESTIONS, EVERY)
    assert len(person.sent) >= QUESTIONS
    assert {"gateway", "console"} <= set(killed)


async def measure(questions: int, every: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        signers = Signers(Path(folder))
        async with swarm_with(Path(folder) / "swarm", signers, {}) as parts:
            seconds, person, killed = await work_through(parts, signers, questions, every)
    print(
        f"{len(person.sent)} answers in {seconds:.0f} s at the keyboard, {seconds / len(person.sent):.2f} s each; "
        f"{len(killed)} replicas killed, {person.reloads} pages loaded again; 0 decided twice, 0 for another call"
    )


if __name__ == "__main__":
    asyncio.run(measure(int(sys.argv[1]), float(sys.argv[2])))
