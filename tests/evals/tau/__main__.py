"""`python -m tests.evals.tau PYTHON`: the gold trajectories of tau2-bench through the swarm, with the agent killed."""

import argparse
import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

from schemas.api.runs import QuestionView, RunView
from schemas.budget import Budget
from schemas.task import Shape, Task
from services.cli.api.client import Gateway
from services.cli.evaluation.trial import Trying
from shared.evaluation import Case
from tests.evals.tau import page
from tests.evals.tau.stack import CLERK, TauStack

DOMAINS = ("telecom", "banking", "retail", "airline")
AT_ONCE = 6
KILL_AFTER = (30, 90)
"""Calls between two kills of the agent, besides those in the middle of calls."""
BUDGET = Budget(
    tokens=20_000_000, output_tokens=1_000_000, cost_usd=1_000, model_calls=300, tool_calls=150, seconds=7_200
)


class Approving(Trying):
    """A trial whose questions a person approves; each is one stopped call."""

    stopped: list[str]

    def _answer(self, run: RunView, question: QuestionView) -> None:
        asked = question.asked
        if asked.request_id in self._answered or question.votes:
            return
        self._answered.add(asked.request_id)
        self.stopped.append(asked.question)
        order: dict[str, Any] = {"request_id": asked.request_id, "decision": "approve", "answer": ""}
        order |= {"digest": asked.proposal.digest} if asked.proposal else {}
        self.client.command(run.run_id, "decisions", by=self.by, **order)


@dataclass(slots=True)
class Domain:
    """Outcome of a domain."""

    name: str
    known: int = 0
    """Cases that the benchmark has."""
    cases: int = 0
    calls: int = 0
    writes: int = 0
    kills: int = 0
    seconds: float = 0.0
    statuses: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    outcome: dict[str, Any] = field(default_factory=dict)


def asked(world: str, *arguments: str) -> dict[str, Any]:
    """Return the answer of the benchmark's own environment."""
    command = [world, "-W", "ignore", "-m", "tests.evals.tau.gold", *arguments]
    return dict(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))


async def killing(stack: TauStack, domain: Domain, seed: int) -> None:
    """Kill the agent each time that a random number of calls were made, until cancelled."""
    chance = random.Random(seed)
    due = chance.randint(*KILL_AFTER)
    while True:
        await asyncio.sleep(chance.uniform(0.02, 0.2))
        if (made := stack.calls()) >= due and (pid := stack.clerk) is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                domain.kills += 1
            due = made + chance.randint(*KILL_AFTER)


def attempt(url: str, key: str, scenario: str, domain: Domain, stop: Event) -> None:
    """Do one case."""
    objective = f"[{key}] {scenario}"
    task = Task(objective=objective, shape=Shape.SINGLE, agent=CLERK, budget=BUDGET, memory=False)
    with Gateway(url, "default", None) as client:
        trial = Approving(client, Case(name=key, objective=objective), "a person", stop, 1_800.0)
        trial.stopped = domain.stopped
        _, found = trial.run(task, key)
    domain.statuses.append(f"{found.status} {found.reason}".strip())
    domain.refused += [f"{key}: {call.tool}" for call in found.calls if not call.made]


async def done(name: str, world: str, seed: int, most: int | None) -> Domain:
    """Do the cases of a domain."""
    gold = asked(world, name)
    keys = sorted(gold["cases"])
    random.Random(seed).shuffle(keys)
    keys = keys[:most]
    calls = [tool for key in keys for tool, _ in gold["cases"][key]["calls"]]
    domain = Domain(name, len(gold["cases"]), len(keys), len(calls), sum(not gold["tools"][tool] for tool in calls))
    with tempfile.TemporaryDirectory(prefix="waggle-tau-") as folder:
        async with TauStack(Path(folder), name, gold, world, seed) as stack:
            began = time.monotonic()
            await _all(stack, domain, {key: gold["cases"][key]["scenario"] for key in keys}, seed)
            domain.seconds = time.monotonic() - began
        domain.outcome = asked(world, name, str(stack.log), *keys)
    return domain


async def _all(stack: TauStack, domain: Domain, scenarios: dict[str, str], seed: int) -> None:
    loop, stop = asyncio.get_running_loop(), Event()
    url = stack.endpoints["WAGGLE_GATEWAY"]
    kills = asyncio.create_task(killing(stack, domain, seed))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            trials = [
                loop.run_in_executor(pool, _shown(attempt), url, key, scenario, domain, stop)
                for key, scenario in scenarios.items()
            ]
            await asyncio.gather(*trials)
        finally:
            stop.set()
            kills.cancel()


def _shown(attempt: Callable[..., None]) -> Callable[..., None]:
    def shown(url: str, key: str, *rest: Any) -> None:
        attempt(url, key, *rest)
        print(f"{key} {rest[1].statuses[-1]}", file=sys.stderr)

    return shown


async def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.evals.tau", description=__doc__)
    parser.add_argument("world", help="the Python that has inspect-evals")
    parser.add_argument("--only", choices=DOMAINS, help="only this domain")
    parser.add_argument("--most", type=int, help="only that many cases of each domain, at random")
    parser.add_argument("--seed", type=int, default=15, help="of the kills")
    parser.add_argument("--write-docs", action="store_true", help="write docs/reports/tau.md")
    given = parser.parse_args()
    names = [given.only] if given.only else DOMAINS
    domains = [await done(name, str(Path(given.world).absolute()), given.seed, given.most) for name in names]
    print("\n".join(page.lines(domains)))
    if given.write_docs:
        page.write(domains)
    return 0 if all(page.holds(domain) for domain in domains) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
