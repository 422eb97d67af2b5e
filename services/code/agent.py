"""Code: writes small programs, runs and tests them in a sandbox."""

from pathlib import Path

from services.code.settings import CodeSettings
from services.code.tools import keep_file, list_files, read_file, run_python, run_tests, write_file
from waggle import Agent, Budget, Context, Findings, Step

agent = Agent(
    "code",
    description="Writes Python programs, runs and tests them in a sandbox, and reviews code.",
    instructions=Path(__file__).with_name("instructions.md"),
    tools=[write_file, read_file, list_files, run_python, run_tests, keep_file],
    settings=CodeSettings,
    budget=Budget(tokens=100_000, tool_calls=20),
)


@agent.handles
async def code(step: Step, ctx: Context) -> Findings:
    """Write, run and test a program; answer with its output."""
    return await ctx.think(step.objective, result=Findings)
