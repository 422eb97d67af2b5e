"""A tool gets the settings of its own agent, and none of another agent or of the runtime."""

import json

from pydantic import Field

from shared.service.policies import read_configuration
from waggle import Agent, Context, Effect, Findings, Risk, ServiceSettings, Step, ToolContext, tool
from waggle.testing import AgentHarness, Scripted, calls

FOUND = {"answer": "Read.", "facts": [], "sources": [], "confidence": 0.9, "caveats": []}


class LibrarySettings(ServiceSettings):
    """Settings of one agent."""

    shelf: str = Field("A", description="Shelf the agent may read.")


@tool(risk=Risk.LOW, effect=Effect.READ, destinations=())
async def read_settings(*, call: ToolContext[LibrarySettings]) -> list[str]:
    """Name the shelf, and every setting that is within reach."""
    return [call.settings.shelf, *type(call.settings).model_fields]


def librarian(tmp_path) -> Agent:
    instructions = tmp_path / "instructions.md"
    instructions.write_text("Read.")
    agent = Agent(
        "librarian", description="Reads.", instructions=instructions, tools=[read_settings], settings=LibrarySettings
    )

    @agent.handles
    async def read(step: Step, ctx: Context) -> Findings:
        return await ctx.think(step.objective, result=Findings)

    return agent


async def shown(agent: Agent, settings: ServiceSettings | None = None) -> list[str]:
    script = Scripted([calls("read_settings"), FOUND])
    async with AgentHarness(agent, model=script, settings=settings) as harness:
        await harness.step("Read.")
        return json.loads(harness.tool_results[0].answer)["result"]


async def test_a_tool_reads_its_agents_settings_and_no_others(tmp_path):
    assert await shown(librarian(tmp_path), LibrarySettings(shelf="B")) == ["B", "shelf"]


async def test_settings_of_an_agent_come_from_the_environment_of_its_process(tmp_path, monkeypatch):
    monkeypatch.setenv("WAGGLE_SHELF", "C")
    assert read_configuration(librarian(tmp_path).settings)[1].shelf == "C"


async def test_a_test_with_the_harness_does_not_read_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("WAGGLE_SHELF", "C")
    monkeypatch.setenv("WAGGLE_GATE", str(tmp_path / "missing.toml"))
    monkeypatch.setenv("WAGGLE_HTTP_PORT", "no number")
    assert await shown(librarian(tmp_path)) == ["A", "shelf"]
