"""Data: answers questions about tables with numbers that a query gave."""

from pathlib import Path

from schemas.budget import Budget
from schemas.step import DoStep, Findings
from services.data.tools import describe_table, draw_chart, list_tables, query
from shared.agent import Agent, Context

agent = Agent(
    "data",
    description="Analyses tables (CSV, JSON, Parquet, SQL databases) with SQL, finds what is unusual, draws charts.",
    instructions=Path(__file__).with_name("instructions.md"),
    tools=[list_tables, describe_table, query, draw_chart],
    budget=Budget(tokens=100_000, tool_calls=20),
)


@agent.handles
async def analyse(step: DoStep, ctx: Context) -> Findings:
    """Look at the tables, query them, and answer with the numbers."""
    return await ctx.think(step.objective, result=Findings)
