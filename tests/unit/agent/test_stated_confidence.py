"""The argument in which a model states its confidence: offered with risky tools, also of MCP servers, and taken out."""

import json

import pytest
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter

from schemas.plan import Effect, Risk
from shared.agent.tools.confidence import CONFIDENCE, schema_of, stated
from shared.llm import ToolRequest
from shared.mcp.schema import strict
from shared.mcp.tools import arguments_of
from shared.tools import Tool, ToolError

FLAT = {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}
COMPOSED = {"type": "object", "allOf": [FLAT]}
OWN = {"type": "object", "properties": {CONFIDENCE: {"type": "string"}}}


async def never() -> None:
    """Do nothing."""


def remote(schema: dict, effect: Effect = Effect.IRREVERSIBLE, risk: Risk = Risk.HIGH) -> Tool:
    """A tool as an MCP server declares it."""
    return Tool(
        name="tickets__close",
        description="Close a ticket.",
        risk=risk,
        effect=effect,
        timeout=1,
        arguments=arguments_of("tickets__close", strict(schema, extra_arguments=False)),
        result=TypeAdapter(dict),
        run=never,
        takes_call=False,
        local=False,
        source="mcp:tickets",
    )


def requested(**arguments) -> ToolRequest:
    return ToolRequest(id="1", name="tickets__close", arguments=json.dumps(arguments))


@pytest.mark.parametrize("schema", [FLAT, COMPOSED], ids=["flat", "composed"])
def test_the_schema_that_a_model_is_shown_takes_the_confidence_and_the_servers_own_does_not(schema):
    tool, call = remote(schema), {"id": "4711", CONFIDENCE: 0.7}
    shown = Draft202012Validator(schema_of(tool, tool.risk))
    assert shown.is_valid(call)
    assert shown.is_valid({"id": "4711"})
    assert not shown.is_valid({"id": "4711", "other": 1})
    assert tool.misfit(call) is not None
    split = stated(tool, tool.risk, requested(**call), call)
    assert (split.confidence, split.arguments, json.loads(split.request.arguments)) == (
        0.7,
        {"id": "4711"},
        {"id": "4711"},
    )
    assert tool.misfit(split.arguments) is None


def test_a_tool_with_an_argument_of_that_name_keeps_it():
    tool, call = remote(OWN), {CONFIDENCE: "high"}
    assert schema_of(tool, tool.risk) == tool.schema
    assert stated(tool, tool.risk, requested(**call), call).arguments == call


@pytest.mark.parametrize(
    ("effect", "risk", "offered"),
    [
        (Effect.READ, Risk.LOW, False),
        (Effect.IDEMPOTENT, Risk.MEDIUM, False),
        (Effect.READ, Risk.HIGH, True),
        (Effect.IDEMPOTENT, Risk.CRITICAL, True),
        (Effect.COMPENSABLE, Risk.LOW, True),
    ],
)
def test_it_is_offered_with_tools_that_are_hard_to_undo_or_risky(effect, risk, offered):
    shown = schema_of(remote(FLAT, effect, Risk.LOW), risk)
    assert (CONFIDENCE in shown["properties"]) is offered


def test_a_request_without_it_is_left_word_for_word():
    request = ToolRequest(id="1", name="tickets__close", arguments='{ "id":  "4711" }')
    assert stated(remote(FLAT), Risk.HIGH, request, {"id": "4711"}).request is request


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.1, "0.5", True, [], {}])
def test_no_other_value_is_taken_for_a_confidence(value):
    call = {"id": "4711", CONFIDENCE: value}
    with pytest.raises(ToolError, match=CONFIDENCE):
        stated(remote(FLAT), Risk.HIGH, requested(), call)
