"""Data: answers questions about tables with numbers from queries."""

from pathlib import Path

from services.data.settings import DataSettings
from services.data.tools import describe_table, draw_chart, list_tables, query
from waggle import Agent, Budget, Context, Findings, Step

agent = Agent(
    "data",
    description="Analyses tables (CSV, JSON, Parquet, SQL databases) with SQL, finds what is unusual, draws charts.",
    instructions=Path(__file__).with_name("instructions.md"),
    tools=[list_tables, describe_table, query, draw_chart],
    settings=DataSettings,
    budget=Budget(tokens=100_000, tool_calls=20),
)


@agent.handles
async def analyse(step: Step, ctx: Context) -> Findings:
    """Look at the tables, query them, and answer with the numbers."""
    return await ctx.think(step.objective, result=Findings)
