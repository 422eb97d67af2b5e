"""Reviewer: checks the outputs of the steps against the objective and the constraints."""

from pathlib import Path

from waggle import Agent, Context, ReviewResult, Verdict

agent = Agent(
    "reviewer",
    description="Checks a result against its objective and constraints.",
    instructions=Path(__file__).with_name("instructions.md"),
)


@agent.handles
async def review(request: ReviewResult, ctx: Context) -> Verdict:
    """Ask for a verdict; the orchestrator limits the number of redo rounds."""
    return await ctx.think(request.objective, result=Verdict)
