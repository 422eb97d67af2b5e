"""Recorded turns asked again of a real model server, in their exact context, with a change."""

import re
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

import services
from services.cli.exit_codes import CommandError, Exit
from services.cli.replay_changes import Wanted, _check_cost, core_agents
from services.cli.terminal import Screen
from shared.config import Settings, settings_of
from shared.replay.changed.change import Change
from shared.replay.changed.experiment import Experiment
from shared.replay.changed.live import LiveModel
from shared.replay.changed.turns import ChangedReplayer
from shared.replay.handoffs import Answered, RecordedHandoff
from shared.replay.works import attempts_of
from tests.support.agent_loop import scripted
from tests.support.replaying import played
from waggle import Agent, Context, Effect, Findings, Risk, Step, ToolContext, tool
from waggle.testing import AgentHarness, Scripted, calls

FOUND = {"answer": "Three.", "facts": [], "sources": [], "confidence": 0.9, "caveats": []}
OBJECTIVE = "Send ada@example.org a greeting."
called: list[str] = []


@tool(risk=Risk.LOW, effect=Effect.READ)
async def look(key: str) -> str:
    """Look something up."""
    called.append(key)
    return f"{key} is there"


@tool(risk=Risk.LOW, effect=Effect.READ, local=True)
async def keep(text: str, *, call: ToolContext) -> str:
    """Keep a text as a file."""
    called.append(text)
    return (await call.workspace.save("kept.txt", text.encode(), "text/plain")).name


@tool(risk=Risk.HIGH, effect=Effect.IRREVERSIBLE, asked_by=frozenset({"send"}), destinations=("to",))
async def send(to: str) -> str:
    """Send a greeting."""
    called.append(to)
    return "sent"


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    (tmp_path / "instructions.md").write_text("You are the asked-again agent of Waggle. Work.")
    made = Agent("asked-again", description="d", instructions=tmp_path / "instructions.md", tools=[look, keep, send])

    @made.handles
    async def work(step: Step, ctx: Context) -> Findings:
        return await ctx.think(step.objective, result=Findings)

    return made


@pytest.fixture
async def recorded(agent: Agent) -> RecordedHandoff:
    """A handoff with three turns. Its tools have been called; none may be called from here on."""
    turns = [calls("look", key="second") & calls("keep", text="words"), calls("send", to="ada@example.org"), FOUND]
    async with AgentHarness(agent, model=Scripted(turns)) as harness:
        handoff = harness.handoff(Step, OBJECTIVE, step_id="step")
        entries, answer = await played(harness, handoff)
    called.clear()
    answered = Answered(answer, datetime.now(UTC), frozenset(type(answer).model_fields), whole=True)
    return RecordedHandoff([handoff], attempts_of(entries)[1], answered)


async def ask(model, agent, recorded, change=None, tries=1, budget=10.0):
    settings = settings_of({"OPENAI_BASE_URL": f"{model}/v1", "OPENAI_API_KEY": "simulated"}, Settings)
    change = change or Change(model="waggle-simulated")
    async with LiveModel(settings, change.model, budget) as live:
        made = Experiment("run", ChangedReplayer({agent.name: agent}, settings, change), live, tries)
        made.handoffs.append((recorded, await made.replayer.turns(recorded)))
        return made.turns, (await made.ask(lambda *_: None)).document()


RECORDED = (
    {"calls": [{"name": "look", "arguments": {"key": "second"}}, {"name": "keep", "arguments": {"text": "words"}}]},
    {"calls": [{"name": "send", "arguments": {"to": "ada@example.org"}}]},
    {"json": FOUND},
)


async def test_a_model_that_decides_as_recorded_is_the_same_and_no_tool_is_called(model, agent, recorded):
    await scripted(model, agent, *({"when": {"turn": n}, "reply": each} for n, each in enumerate(RECORDED)))
    turns, found = await ask(model, agent, recorded, tries=3)
    assert (found["outcome"], found["unknown"], called) == ("same", [], [])
    assert [each["same"] for each in found["turns"]] == [3, 3, 3]
    assert (found["total"]["of"], found["total"]["low"] < 0.75, found["total"]["high"]) == (9, True, 1.0)
    assert found["turns"][1]["recorded"]["verdicts"] == ["allow"]
    assert [len(each.messages) for each in turns] == [2, 5, 7]


async def test_a_model_that_would_send_elsewhere_is_shown_with_the_verdict_of_the_gate(model, agent, recorded):
    elsewhere = {"calls": [{"name": "send", "arguments": {"to": "eve@example.net"}}]}
    replies = (RECORDED[0], elsewhere, RECORDED[2])
    await scripted(model, agent, *({"when": {"turn": n}, "reply": each} for n, each in enumerate(replies)))
    _, found = await ask(model, agent, recorded)
    assert (found["outcome"], [each["same"] for each in found["turns"]], called) == ("differs", [1, 0, 1], [])
    differences = found["turns"][1]["tries"][0]["differences"]
    assert [each["what"] for each in differences] == ["arguments", "verdict"]
    assert differences[0]["replayed"] == "eve@example.net"
    assert differences[1]["replayed"] != differences[1]["recorded"]


async def test_changed_instructions_and_descriptions_are_asked_in_the_recorded_context(
    model, agent, recorded, tmp_path
):
    (tmp_path / "other.md").write_text("You are the asked-again agent of Waggle. Say what you look for first.")
    change = Change(prompts={agent.name: tmp_path / "other.md"}, tools={"look": "Search for something."})
    exact, _ = await ask(model, agent, recorded)
    turns, _ = await ask(model, agent, recorded, change)
    for one, other in zip(exact, turns, strict=True):
        assert "Say what you look for first." in str(other.messages[0])
        assert one.messages[1:] == other.messages[1:]
        described = {each["function"]["name"]: each["function"]["description"] for each in other.tools}
        assert described["look"].startswith("Search for something.")


async def test_no_request_is_made_that_could_exceed_the_bound(model, agent, recorded):
    async with httpx.AsyncClient(base_url=model) as client:
        before = (await client.get("/calls")).json()["calls"]
        _, found = await ask(model, agent, recorded, Change(model="gpt-4o"), budget=0.000001)
        assert (await client.get("/calls")).json()["calls"] == before
    assert (found["outcome"], found["spent_usd"]) == ("unknown", 0.0)
    assert all("budget" in each["why"] for each in found["turns"])


async def test_a_bound_that_does_not_suffice_is_refused_with_one_that_does(model, agent, recorded):
    settings = settings_of({"OPENAI_BASE_URL": f"{model}/v1", "OPENAI_API_KEY": "simulated"}, Settings)
    change = Change(model="gpt-4o")
    async with LiveModel(settings, change.model, 0.000001) as live:
        made = Experiment("run", ChangedReplayer({agent.name: agent}, settings, change), live, 2)
        made.handoffs.append((recorded, await made.replayer.turns(recorded)))
        with pytest.raises(CommandError) as refused:
            _check_cost(made, Wanted("run", change, [], [], 2, 0.000001), Screen(json=False))
        assert refused.value.code is Exit.USAGE
        assert "nothing was asked" in str(refused.value)
        (enough,) = re.findall(r"--budget ([0-9.]+)", refused.value.action)
        assert float(enough) >= made.needed_usd > 0.000001
        _check_cost(made, Wanted("run", change, [], [], 2, float(enough)), Screen(json=False))


def test_tools_of_every_agent_of_waggle_are_known_to_a_change():
    declared = {each.parent.name for each in Path(services.__file__).parent.glob("*/agent.py")}
    assert declared == set(core_agents())
    assert "writer" in declared


async def test_a_model_that_fails_leaves_the_turn_unknown_with_the_reason(model, agent, recorded):
    await scripted(model, agent, {"fault": {"status": 401}})
    _, found = await ask(model, agent, recorded)
    assert found["outcome"] == "unknown"
    assert all("did not answer" in each["why"] for each in found["turns"])


async def test_turns_with_a_prompt_that_is_not_the_recorded_one_are_not_asked(model, agent, recorded, tmp_path):
    (tmp_path / "later.md").write_text("You are the asked-again agent of Waggle. Later words.")
    agent.instructions = tmp_path / "later.md"
    turns, found = await ask(model, agent, recorded)
    assert (turns, found["outcome"]) == ([], "unknown")
    assert "another prompt than was recorded" in found["unknown"][0]["why"]
