"""Planner: turns a task into steps for specialists. It plans only; it carries nothing out."""

from pathlib import Path

from waggle import Agent, Context, MakePlan, Plan

agent = Agent(
    "planner",
    description="Turns a task into a plan of steps for specialists.",
    instructions=Path(__file__).with_name("instructions.md"),
)


@agent.handles
async def plan(request: MakePlan, ctx: Context) -> Plan:
    """Ask for a plan; whether it can be carried out is checked by the orchestrator."""
    return await ctx.think(request.objective, result=Plan)
