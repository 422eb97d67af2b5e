"""`python -m tests.bench.agents NAME`: agents that do nothing, so that only the runtime costs."""

import os
import sys
from pathlib import Path

import httpx2
import openai

from schemas.plan import Plan, PlannedStep
from schemas.step import DoStep, Findings, MakePlan, ReviewResult, Verdict
from shared.agent import Agent, Context
from shared.agent.serve import serve_agent

INSTRUCTIONS = Path(__file__)
STEPS = int(os.environ.get("BENCH_STEPS", "5"))
ANSWER = "x" * int(os.environ.get("BENCH_ANSWER", "2"))

planner = Agent("planner", description="Plans a fixed chain.", instructions=INSTRUCTIONS)
worker = Agent("worker", description="Does nothing.", instructions=INSTRUCTIONS)
sleeper = Agent("sleeper", description="Asks a model that takes its time.", instructions=INSTRUCTIONS)
reviewer = Agent("reviewer", description="Accepts.", instructions=INSTRUCTIONS)
_client = openai.DefaultAioHttpClient(timeout=60, limits=httpx2.Limits(max_connections=10_000))


@planner.handles
async def plan(handoff: MakePlan, ctx: Context) -> Plan:
    agent = str(handoff.context.data.get("agent", "worker"))
    ids = [f"s{number}" for number in range(STEPS)]
    return Plan(
        steps=[
            PlannedStep(id=id, objective="nothing", agent=agent, depends_on=ids[max(0, number - 1) : number])
            for number, id in enumerate(ids)
        ]
    )


@worker.handles
async def work(step: DoStep, ctx: Context) -> Findings:
    return Findings(answer=ANSWER, facts=[], sources=[], confidence=1.0, caveats=[])


@sleeper.handles
async def sleep(step: DoStep, ctx: Context) -> Findings:
    async def ask() -> str:
        return (await _client.get(os.environ["BENCH_MODEL"])).text

    return Findings(answer=await ctx.journal.once("reply", ask), facts=[], sources=[], confidence=1.0, caveats=[])


@reviewer.handles
async def review(handoff: ReviewResult, ctx: Context) -> Verdict:
    return Verdict(accepted=True, reasons=[], redo=[])


if __name__ == "__main__":
    serve_agent({each.name: each for each in (planner, worker, sleeper, reviewer)}[sys.argv[1]])
