"""Planner: turns a task into steps for specialists. It only plans."""

from pathlib import Path

from waggle import Agent, Context, MakePlan, Plan

agent = Agent(
    "planner",
    description="Turns a task into a plan of steps for specialists.",
    instructions=Path(__file__).with_name("instructions.md"),
)


@agent.handles
async def plan(request: MakePlan, ctx: Context) -> Plan:
    """Ask for a plan; the orchestrator validates it."""
    return await ctx.think(request.objective, result=Plan)
