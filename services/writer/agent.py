"""Writer: makes one answer of the outputs of all steps, and names what they disagree about."""

from pathlib import Path

from services.writer.checks import checked, synthesis_of
from waggle import Agent, Context, Synthesis, WriteAnswer

agent = Agent(
    "writer",
    description="Writes one answer from the results of several specialists, and names their conflicts.",
    instructions=Path(__file__).with_name("instructions.md"),
)


@agent.handles
async def write(request: WriteAnswer, ctx: Context) -> Synthesis:
    """Ask for one answer; conflicts must name steps that exist, and sources must be those of the steps."""
    written = await ctx.think(request.objective, result=synthesis_of(request.inputs))
    return checked(written, request.inputs)
