"""Research: answers a question with sourced findings."""

from pathlib import Path

from services.research.citations import checked, fetched, given
from services.research.settings import ResearchSettings
from services.research.tools import fetch_page, read_document, search_documents
from waggle import Agent, Budget, Context, Findings, Step

agent = Agent(
    "research",
    description="Finds and reads documents, runbooks and web pages, and answers with sources.",
    instructions=Path(__file__).with_name("instructions.md"),
    tools=[search_documents, read_document, fetch_page],
    settings=ResearchSettings,
    budget=Budget(tokens=100_000, tool_calls=15),
)


@agent.handles
async def research(step: Step, ctx: Context) -> Findings:
    """Search first, then read; report what was not found. Every citation must have been found in this step."""
    findings = await ctx.think(step.objective, result=Findings)
    return checked(findings, fetched(ctx.answered) | given(step.inputs))
