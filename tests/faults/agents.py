"""`python -m tests.faults.agents <name>`: agents without a model that do what the task's plan says, on the ledger.

The plan lies in the task's context as `data["plan"]`; `tests.faults.plans` makes it and says what must follow from it.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import httpx

from schemas.plan import Plan, PlannedStep
from schemas.step import DoStep, Findings, MakePlan, ReviewResult, Synthesis, Verdict
from schemas.synthesis import WriteAnswer
from shared.agent import Agent, Context
from shared.agent.serve import serve_agent
from shared.errors import RetryableError, TerminalError
from shared.tools import OUTCOME_UNKNOWN, Effect, Risk, ToolContext, ToolError, tool
from tests.faults.points import passage

LEDGER = os.environ.get("FAULT_LEDGER", "http://127.0.0.1:9")
SPECIALISTS = ("left", "right")
INSTRUCTIONS = Path(__file__).with_name("instructions.md")
PATIENCE = 60.0
"""Seconds a tool waits for the ledger's answer."""


async def _act(op: str, effect: Effect, call: ToolContext) -> int:
    """Have the ledger count one call."""
    passage("before-effect")
    own = {"X-Caller": str(os.getpid()), "Fencing-Epoch": str(call.epoch)}
    headers = {"Idempotency-Key": call.idempotency_key, **own}
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
            answer = await client.post(f"{LEDGER}/effects", json={"op": op, "effect": effect}, headers=headers)
    except httpx.ConnectError as away:
        raise RetryableError("the ledger is away") from away
    except httpx.TransportError as broken:
        raise _unknown(op, effect) from broken
    passage("after-effect")
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        raise RetryableError("the ledger refuses for now: nothing has happened")
    if answer.status_code == httpx.codes.CONFLICT:
        raise ToolError("fenced", "somebody else has taken this call over")
    if answer.is_error:
        raise _unknown(op, effect)
    return int(answer.json()["count"])


def _unknown(op: str, effect: Effect) -> Exception:
    if effect in (Effect.READ, Effect.IDEMPOTENT):
        return RetryableError(f"nobody knows whether {op} has happened; it may be repeated")
    return ToolError(OUTCOME_UNKNOWN, f"nobody knows whether {op} has happened")


@tool(risk=Risk.LOW, effect=Effect.READ, timeout=120)
async def look(op: str, *, call: ToolContext) -> int:
    """Read."""
    return await _act(op, Effect.READ, call)


@tool(risk=Risk.LOW, effect=Effect.IDEMPOTENT, timeout=120)
async def put(op: str, *, call: ToolContext) -> int:
    """Write what may be written twice under one key."""
    return await _act(op, Effect.IDEMPOTENT, call)


@tool(risk=Risk.LOW, effect=Effect.COMPENSABLE, timeout=120)
async def book(op: str, *, call: ToolContext) -> int:
    """Do what can be undone."""
    return await _act(op, Effect.COMPENSABLE, call)


@tool(risk=Risk.LOW, effect=Effect.IRREVERSIBLE, timeout=120)
async def send(op: str, *, call: ToolContext) -> int:
    """Do what cannot be undone."""
    return await _act(op, Effect.IRREVERSIBLE, call)


TOOLS = {Effect.READ: look, Effect.IDEMPOTENT: put, Effect.COMPENSABLE: book, Effect.IRREVERSIBLE: send}


async def use(ctx: Context, effect: Effect, op: str) -> None:
    """Call the tool of that effect class. An answer that says that it went wrong ends the step."""
    answer = await ctx.call(TOOLS[effect].name, op=op)
    if isinstance(answer, dict) and "error" in answer:
        raise TerminalError(str(answer["error"]), code=answer["error"]["code"])


async def plan(request: MakePlan, ctx: Context) -> Plan:
    wanted: dict[str, Any] = request.context.data["plan"]
    steps = [
        PlannedStep(id=name, objective=name, agent=step["agent"], depends_on=step["after"])
        for name, step in wanted.items()
    ]
    return Plan(steps=steps)


async def work(step: DoStep, ctx: Context) -> Findings:
    wanted: dict[str, Any] = step.context.data["plan"][step.step_id]
    if step.attempt <= wanted["fails"]:
        raise RetryableError("as the plan says")
    if wanted["dies"]:
        raise TerminalError("as the plan says", code="planned")
    for call in wanted["calls"]:
        await asyncio.sleep(call["delay"])
        await use(ctx, Effect(call["effect"]), call["op"])
    if step.attempt <= wanted["fails_late"]:
        raise RetryableError("as the plan says, after its effects")
    if wanted["thinks"]:
        await ctx.think(step.objective, result=Findings)
    if wanted["keeps"]:
        await ctx.workspace.save(f"{step.step_id}.txt", b"x" * wanted["keeps"], "text/plain")
    return Findings(answer=step.step_id, facts=[], sources=[], confidence=1.0, caveats=[])


async def write(request: WriteAnswer, ctx: Context) -> Synthesis:
    answer = " ".join(each.output.answer for each in request.inputs)
    return Synthesis(answer=answer, facts=[], sources=[], confidence=1.0, caveats=[], conflicts=[])


async def review(request: ReviewResult, ctx: Context) -> Verdict:
    return Verdict(accepted=True, reasons=[], redo=[])


def agent_of(name: str) -> Agent:
    """The agent of that name: planner, writer and reviewer as every swarm has them, a specialist otherwise."""
    tools = list(TOOLS.values()) if name in SPECIALISTS else []
    made = Agent(name, description=f"The {name} of the fault tests.", instructions=INSTRUCTIONS, tools=tools)
    made.handles({"planner": plan, "writer": write, "reviewer": review}.get(name, work))
    return made


if __name__ == "__main__":
    serve_agent(agent_of(sys.argv[1]))
