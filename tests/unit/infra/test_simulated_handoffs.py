"""The simulated model hands over as the objective says, and answers when it cannot."""

import pytest

from tests.support.simulated import Simulated
from waggle import Agent, Context, Findings, HandOff, Step
from waggle.testing import AgentHarness

COLLEAGUES = {"code": "programs", "research": "documents"}


@pytest.fixture
def agent(tmp_path):
    (tmp_path / "instructions.md").write_text("Answer.")
    made = Agent("clerk", description="d", instructions=tmp_path / "instructions.md")

    @made.handles
    async def work(step: Step, ctx: Context) -> Findings:
        return await ctx.think(step.objective, result=Findings)

    return made


async def said(agent, objective: str, path: tuple[str, ...] = ("clerk",), **fields):
    async with AgentHarness(agent, model=Simulated()) as harness:
        about = {"colleagues": COLLEAGUES, "path": list(path), "hop": len(path)} | fields
        return await harness.step(objective, **about)


@pytest.mark.parametrize(
    ("objective", "path", "to"),
    [
        ("Count it, hand it to research.", ("clerk",), "research"),
        ("Count it, hand it over to the code agent, then to research", ("clerk",), "code"),
        ("Count it, hand the task on to code, and then to research", ("data", "clerk"), "research"),
        ("Count it and hand it round", ("clerk",), "research"),
        ("Count it and hand it round", ("data", "clerk"), "code"),
    ],
)
async def test_the_next_named_agent_gets_the_work(agent, objective, path, to):
    handed = await said(agent, objective, path)
    assert isinstance(handed, HandOff)
    assert handed.to == to
    assert handed.brief.found


@pytest.mark.parametrize(
    ("objective", "path"),
    [
        ("Count it.", ("clerk",)),
        ("Count it, hand it to research.", ("data", "clerk")),
        ("Count it, hand it to accounting.", ("clerk",)),
    ],
)
async def test_an_agent_answers_if_the_objective_names_no_further_one(agent, objective, path):
    assert not isinstance(await said(agent, objective, path), HandOff)


async def test_an_agent_that_must_answer_does(agent):
    last = await said(agent, "hand it round", colleagues={}, must_answer="it is the last")
    assert not isinstance(last, HandOff)
