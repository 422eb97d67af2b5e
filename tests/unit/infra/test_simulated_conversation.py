"""The simulated model shows that it was given the conversation."""

import json

import pytest

from infra.simulated_model.rules import next_reply
from infra.simulated_model.rules.conversation import continues, speaks_of_it
from infra.simulated_model.situation import Brief, Situation
from schemas.plan import AgentCard

TURNS = {"turns": [{"asked": "How many orders?", "answer": "There are **400** orders."}]}


def reply(objective: str, agent: str = "research", **brief) -> dict:
    known = Brief.model_validate({"objective": objective, "conversation": TURNS} | brief)
    situation = Situation(agent=agent, brief=known, tools={}, told={}, turn=0, texts=())
    return json.loads(next_reply(situation).content)


@pytest.mark.parametrize("asked", ["What did I ask before?", "Which questions have I asked so far?"])
def test_it_knows_what_was_asked_before(asked):
    assert "1. How many orders?" in reply(asked)["answer"]


@pytest.mark.parametrize("asked", ["Repeat your last answer", "Summarise that", "What did you find?", "Say it again"])
def test_it_knows_what_it_answered(asked):
    assert "> There are **400** orders." in reply(asked)["answer"]


def test_without_a_conversation_there_is_nothing_to_know():
    assert "400" not in reply("Repeat your last answer", conversation=None)["answer"]
    assert not continues(Brief(objective="and now?"))


@pytest.mark.parametrize("asked", ["Count the rows of orders.csv", "Mail the report to ada@example.org"])
def test_another_objective_is_not_taken_for_one_about_the_conversation(asked):
    assert not speaks_of_it(Brief.model_validate({"objective": asked, "conversation": TURNS}))


def test_the_planner_lets_the_agent_of_the_last_turn_continue():
    agents = [AgentCard(name=name, description="").model_dump(mode="json") for name in ("research", "data")]
    plan = reply("And by month?", "planner", agents=agents, last_agent="data", shape="auto")
    assert [step["agent"] for step in plan["steps"]] == ["data"]
