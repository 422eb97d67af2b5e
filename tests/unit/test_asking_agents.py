"""Questions to a person in the test harness, and that every bundled agent's model may ask."""

from importlib import import_module

import pytest

from shared.agent.tools.asking import NAME
from waggle import Agent, AskHuman, Context, Findings, Step
from waggle.testing import AgentHarness, Scripted, ScriptError, calls

FINDINGS = {"answer": "In 2026.", "facts": [], "sources": [], "confidence": 0.9, "caveats": []}
ASKS = calls(NAME, question="Which year?", options=["2025", "2026"])


@pytest.mark.parametrize("name", ["code", "communication", "data", "research"])
async def test_the_model_of_every_specialist_may_ask_a_person(name):
    agent = import_module(f"services.{name}.agent").agent
    async with AgentHarness(agent, model=Scripted([ASKS])) as harness:
        asked = await harness.step("Say when.")
    assert asked == AskHuman(question="Which year?", options=["2025", "2026"])


async def test_a_test_answers_the_questions_of_a_model_and_of_a_handler(tmp_path):
    (tmp_path / "instructions.md").write_text("Say when.")
    agent = Agent("asker", description="d", instructions=tmp_path / "instructions.md")

    @agent.handles
    async def work(step: Step, ctx: Context) -> Findings:
        found = await ctx.think(step.objective, result=Findings)
        sure = await ctx.ask("Are you sure?", ["yes", "no"])
        return found.model_copy(update={"answer": f"{found.answer} Sure: {sure}"})

    async with AgentHarness(agent, model=Scripted([ASKS, FINDINGS])) as harness:
        output = await harness.step("Say when.", answers=["2026", "yes"])
    assert output.answer == "In 2026. Sure: yes"


async def test_an_answer_to_no_question_is_an_error_of_the_test():
    agent = import_module("services.research.agent").agent
    async with AgentHarness(agent, model=Scripted([FINDINGS])) as harness:
        with pytest.raises(ScriptError, match="asks no question"):
            await harness.step("Say when.", answers=["2026"])
