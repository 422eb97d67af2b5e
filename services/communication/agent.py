"""Communication: writes reports and sends them to the recipients the task names."""

from pathlib import Path

from services.communication.settings import CommunicationSettings
from services.communication.tools import post_webhook, send_email, summarise_files, write_report
from waggle import Agent, Budget, Context, Findings, Step

agent = Agent(
    "communication",
    description="Writes reports and summaries, sends e-mail and webhooks to recipients the task names.",
    instructions=Path(__file__).with_name("instructions.md"),
    tools=[write_report, send_email, post_webhook, summarise_files],
    settings=CommunicationSettings,
    budget=Budget(tokens=100_000, tool_calls=10),
)


@agent.handles
async def communicate(step: Step, ctx: Context) -> Findings:
    """Write the text; send it only where the task says."""
    return await ctx.think(step.objective, result=Findings)
