"""An agent in a harness: the real context and tool path, a scripted model, nothing outside the process."""

from pathlib import Path
from typing import Annotated

import pytest
from pydantic import BaseModel, Field

from shared.tools import Tool
from waggle import (
    Agent,
    AskHuman,
    Budget,
    Context,
    Effect,
    Findings,
    Limits,
    MakePlan,
    NeedsHuman,
    Plan,
    Risk,
    Step,
    TerminalError,
    ToolContext,
    ToolError,
    tool,
)
from waggle.testing import AgentHarness, Scripted, ScriptError, calls

FOUND = {"answer": "Three.", "facts": [], "sources": [], "confidence": 0.9, "caveats": []}
sent: list[str] = []


@tool(risk=Risk.LOW, effect=Effect.READ, limits=Limits(most_per_step=2))
async def count_words(text: Annotated[str, Field(max_length=20)]) -> int:
    """Count the words of a text."""
    return len(text.split())


@tool(risk=Risk.LOW, effect=Effect.READ)
async def first_line(name: str, *, call: ToolContext) -> str:
    """Read the first line of a file."""
    return (await call.workspace.path(name)).read_text().splitlines()[0]


@tool(risk=Risk.LOW, effect=Effect.IDEMPOTENT)
async def keep(text: str, *, call: ToolContext) -> str:
    """Keep a text as a file."""
    return (await call.workspace.save("kept.txt", text.encode(), "text/plain")).name


@tool(risk=Risk.HIGH, effect=Effect.IRREVERSIBLE, asked_by=frozenset({"send"}), destinations=("to",))
async def send(to: str) -> str:
    """Send a greeting."""
    sent.append(to)
    return "sent"


@tool(risk=Risk.LOW, effect=Effect.READ)
async def broken() -> int:
    """Refuse."""
    raise ToolError("no_luck", "not today", suggested_action="ask another day")


@pytest.fixture
def made(tmp_path):
    sent.clear()
    instructions = tmp_path / "instructions.md"
    instructions.write_text("Count.")

    def make(handler=None, tools: list[Tool] | None = None) -> Agent:
        offered = [count_words, first_line, keep, send, broken] if tools is None else tools
        agent = Agent("counter", description="d", instructions=Path(instructions), tools=offered, budget=Budget())
        agent.handles(handler or think)
        return agent

    return make


async def think(step: Step, ctx: Context) -> Findings:
    return await ctx.think(step.objective, result=Findings)


async def test_a_step_runs_its_tools_and_returns_the_findings(made):
    model = Scripted([calls("count_words", text="one two three"), FOUND])
    async with AgentHarness(made(), model=model) as harness:
        result = await harness.step("How many words?")
    assert (result.answer, result.confidence) == ("Three.", 0.9)
    (counted,) = harness.tool_results
    assert (counted.tool, counted.error, '"result": 3' in counted.answer) == ("count_words", None, True)
    assert "Count." in model.chats[0][0]["content"]
    assert any("count_words" in doing for doing in harness.progress)


async def test_arguments_that_do_not_fit_and_calls_beyond_a_limit_are_answered_as_in_a_service(made):
    turns = [calls("count_words", text="x" * 21), calls("count_words", text="a") & calls("count_words", text="b")]
    turns += [calls("count_words", text="c"), calls("broken"), FOUND]
    model = Scripted(turns)
    async with AgentHarness(made(), model=model) as harness:
        await harness.step("How many words?")
    assert "invalid_arguments" in model.chats[1][-1]["content"]
    codes = [each.error["code"] if each.error else None for each in harness.tool_results]
    assert codes == [None, None, "too_many_calls", "no_luck"]


async def test_files_are_read_and_saved_through_the_workspace(made):
    turns = [calls("first_line", name="a.txt"), calls("keep", text="new"), FOUND]
    async with AgentHarness(made(), model=Scripted(turns)) as harness:
        result = await harness.step("Read `a.txt`.", files={"a.txt": b"first\nsecond"})
        (artefact,) = result.artefacts
        assert await harness.read(artefact) == b"new"
    assert "first" in harness.tool_results[0].answer


async def test_a_call_that_the_task_does_not_ask_for_needs_an_approval(made):
    async with AgentHarness(made(), model=Scripted([calls("send", to="ada@example.org")])) as harness:
        with pytest.raises(NeedsHuman, match="may counter call send") as asked:
            await harness.step("How many words?")
    assert (asked.value.proposal.tool, sent) == ("send", [])


async def test_a_call_that_the_task_asks_for_is_made_once_though_the_step_is_delivered_twice(made):
    turns = [calls("send", to="ada@example.org"), FOUND]
    async with AgentHarness(made(), model=Scripted(turns)) as harness:
        step = harness.handoff(Step, "Send a greeting to ada@example.org.", step_id="s")
        first, second = await harness.handle(step), await harness.handle(step)
    assert (sent, first) == (["ada@example.org"], second)


async def test_a_dry_run_shows_the_call_instead_of_making_it(made):
    turns = [calls("send", to="ada@example.org"), FOUND]
    async with AgentHarness(made(), model=Scripted(turns)) as harness:
        result = await harness.step("Send a greeting to ada@example.org.", dry_run=True)
    assert ([each.tool for each in result.effects], sent) == (["send"], [])


async def test_a_script_that_ends_too_early_says_what_is_missing(made):
    async with AgentHarness(made(), model=Scripted([calls("count_words", text="a")])) as harness:
        with pytest.raises(ScriptError, match=r"exhausted: the agent asks for a Findings; add the turn .* these 1 to"):
            await harness.step("How many words?")


async def test_a_script_that_calls_an_unknown_tool_says_which_there_are(made):
    async with AgentHarness(made(), model=Scripted([calls("count_word", text="a")])) as harness:
        with pytest.raises(ScriptError, match=r"offers: count_words, .*; did you mean `count_words`\?"):
            await harness.step("How many words?")


async def test_turns_that_were_not_asked_for_are_an_error(made):
    with pytest.raises(ScriptError, match="did not ask for the last 1 turns"):
        async with AgentHarness(made(), model=Scripted([FOUND, FOUND])) as harness:
            await harness.step("How many words?")


async def test_an_answer_that_never_fits_fails_the_step_with_its_code(made):
    async with AgentHarness(made(), model=Scripted(["no JSON", "{}", "[]"])) as harness:
        with pytest.raises(TerminalError) as failed:
            await harness.step("How many words?")
    assert failed.value.code == "invalid_reply"


async def test_a_planner_is_run_on_its_own_kind_of_handoff(made):
    async def plan(request: MakePlan, ctx: Context) -> Plan | AskHuman:
        if not request.agents:
            return AskHuman(question="Which agents?", options=["none"])
        return await ctx.think(request.objective, result=Plan)

    async with AgentHarness(made(plan, tools=[]), model=Scripted([])) as harness:
        result = await harness.handle(harness.handoff(MakePlan, "Plan.", shape="auto", agents=[], max_steps=3))
    assert result == AskHuman(question="Which agents?", options=["none"])


class Translation(BaseModel):
    """A text in another language."""

    text: str
    language: str
    confidence: float = Field(ge=0, le=1)


async def translate(step: Step, ctx: Context) -> Translation | AskHuman:
    return await ctx.think(step.objective, result=Translation)


async def test_a_result_type_of_the_agent_comes_back_as_itself_and_is_published_in_the_card(made):
    agent = made(translate)
    wanted = Translation(text="drei", language="de", confidence=0.7)
    async with AgentHarness(agent, model=Scripted([wanted])) as harness:
        assert await harness.step("Translate `three`.") == wanted
    assert agent.card.result_schema == Translation.model_json_schema()
    assert made().card.result_schema is None


async def test_a_result_type_travels_as_findings_with_data(made):
    agent = made(translate)
    async with AgentHarness(agent, model=Scripted([{"text": "drei", "language": "de", "confidence": 0.7}])) as harness:
        agent.result, own = None, agent.result
        step = harness.handoff(Step, "Translate `three`.", step_id="s")
        agent.result = own
        journal = harness._runtime.journal(step)
        await harness.handle(step)
    output = journal[f"answer/{step.id}"]["answer"]["output"]
    assert output["data"] == {"text": "drei", "language": "de", "confidence": 0.7}
    assert (output["confidence"], '"text": "drei"' in output["answer"]) == (0.7, True)


def test_an_agent_has_one_result_type_of_its_own_at_most(made):
    class Other(BaseModel):
        text: str

    async def either(step: Step, ctx: Context) -> Translation | Other:
        raise AssertionError("refused when it is declared, so never called")

    with pytest.raises(TypeError, match="returns 2 types of its own"):
        made(either)
