"""Reviewer: checks what the steps brought against the objective and the constraints."""

from pathlib import Path

from waggle import Agent, Context, ReviewResult, Verdict

agent = Agent(
    "reviewer",
    description="Checks a result against its objective and constraints.",
    instructions=Path(__file__).with_name("instructions.md"),
)


@agent.handles
async def review(request: ReviewResult, ctx: Context) -> Verdict:
    """Ask for a verdict; the orchestrator bounds how often it may ask for changes."""
    return await ctx.think(request.objective, result=Verdict)
