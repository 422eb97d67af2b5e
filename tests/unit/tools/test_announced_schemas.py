"""Schemas of arguments on the cards of agents: bounded, cut by one rule, and marked."""

import json
from dataclasses import replace
from typing import Any

import pytest
from pydantic import BaseModel, Field, create_model

from schemas.plan import AgentCard, ArgumentSchema, Effect, Risk, ToolCard
from shared.agent import Agent
from shared.agent.declare import MOST_TOOLS
from shared.mcp.schema import strict
from shared.mcp.tools import arguments_of
from shared.tools import tool
from shared.tools.schema_cut import LARGEST_CARD, LARGEST_SCHEMA, announced_schema, share_of


def size(schema: ArgumentSchema) -> int:
    return len(json.dumps(schema.content))


def of_server(properties: dict[str, Any], **more: Any) -> type[BaseModel]:
    """The arguments of a server's tool, as an agent has them."""
    return arguments_of("odd", strict({"type": "object", "properties": properties, **more}, extra_arguments=False))


def many(count: int, **more: Any) -> dict[str, Any]:
    return {f"argument_{number}": {"type": "string", "maxLength": 9, **more} for number in range(count)}


def test_a_small_schema_is_announced_as_it_is():
    given = many(3, description="Words.")
    made = announced_schema(of_server(given, required=["argument_1"]))
    assert (made.cut, made.left_out, made.note) == ("", 0, "")
    assert made.content["properties"] == given


def test_prose_is_left_out_first_but_no_argument_that_is_called_so():
    given = many(20, description="d" * 300) | {"description": {"type": "integer", "title": "t"}, "title": {}}
    made = announced_schema(of_server(given, required=["title"]))
    assert made.cut == "prose"
    assert "descriptions are left out" in made.note
    assert made.content["properties"] == many(20) | {"description": {"type": "integer"}, "title": {}}
    assert made.content["required"] == ["title"]


def test_then_the_members_of_objects_and_then_the_last_arguments():
    deep = {"type": "object", "properties": many(100)}
    number = {"type": "integer", "minimum": 1, "maximum": 5}
    made = announced_schema(of_server({"deep": deep, "n": number}))
    assert made.cut == "nested"
    assert made.content["properties"] == {"deep": {"type": "object"}, "n": number}
    wide = announced_schema(of_server(many(300), required=["argument_0"]))
    kept = list(wide.content["properties"])
    assert kept == [f"argument_{number}" for number in range(len(kept))]
    assert (len(kept) + wide.left_out, wide.content["required"]) == (300, ["argument_0"])
    assert "arguments" in wide.note
    assert size(wide) <= LARGEST_SCHEMA


@pytest.mark.parametrize(
    "properties",
    [
        {"x" * 3_000: {"type": "string"}, "y": {"enum": ["z" * 9_000]}},
        {"n": {"type": "string", "default": float("nan")}},
        {"n": {"type": "string", "default": "\ud800"}},
        {f"{number}": {"enum": [f"{number}" * 60]} for number in range(200)},
    ],
    ids=["long names", "no number", "half a character", "long choices"],
)
def test_a_card_is_bounded_and_can_be_written_for_hostile_schemas(properties):
    class Given(BaseModel):
        @classmethod
        def model_json_schema(cls, *_: Any, **__: Any) -> dict[str, Any]:
            return {"type": "object", "properties": properties}

    made = announced_schema(Given)
    assert size(made) <= LARGEST_SCHEMA
    assert ArgumentSchema.model_validate_json(made.model_dump_json()) == made


@tool(risk=Risk.LOW, effect=Effect.COMPENSABLE, local=False, destinations=("to",))
async def wide(to: str, text: str = Field("", description="d" * 50_000)) -> str:
    """Send a text."""
    return to + text


def test_the_cards_of_forty_large_tools_stay_within_their_bound(tmp_path):
    (tmp_path / "instructions.md").write_text("Work.")
    tools = []
    for number in range(MOST_TOOLS):
        fields: dict[str, Any] = {f"a{number}_{each}": (str, Field(max_length=10)) for each in range(200)}
        tools.append(replace(wide, arguments=create_model(f"Arguments{number}", **fields)))
    card = Agent("wide", "Works.", tmp_path / "instructions.md", tools).card
    assert sum(size(each.arguments) for each in card.tools) <= LARGEST_CARD
    assert share_of(MOST_TOOLS) * MOST_TOOLS <= LARGEST_CARD
    assert all(each.arguments.left_out for each in card.tools)


def test_a_card_names_effect_and_scope_and_planners_are_spared_them():
    card = wide.card
    assert (card.effect, card.effect.reversibility) == (Effect.COMPENSABLE, "can be undone by another action")
    assert (card.scope.in_words, card.arguments.cut) == ("what is named by to", "prose")
    brief = AgentCard(name="a", description="d", tools=[card]).for_planner()
    assert brief.tools == [ToolCard(name="wide", description="Send a text.", risk=Risk.LOW)]


def test_a_card_of_an_earlier_version_is_read():
    card = AgentCard.model_validate_json(
        '{"name":"a","description":"d","tools":[{"name":"t","description":"","risk":"low"}]}'
    )
    assert (card.tools[0].effect, card.tools[0].scope, card.tools[0].arguments) == (None, None, None)
