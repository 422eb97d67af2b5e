import asyncio
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import BaseModel, Field

from schemas.plan import Plan
from schemas.step import DoStep, Findings, MakePlan
from shared.agent import Agent, AskHuman, Context
from shared.errors import RetryableError, TerminalError
from shared.llm.schema import strict_schema
from shared.tools import Effect, Risk, ToolError, tool


@tool(risk=Risk.LOW, effect=Effect.READ, timeout=0.05)
async def add(a: Annotated[int, Field(ge=0)], b: int = 1) -> int:
    """Add two numbers."""
    return a + b


@pytest.fixture
def instructions(tmp_path) -> Path:
    path = tmp_path / "instructions.md"
    path.write_text("Be good.")
    return path


def test_a_tools_schema_is_strict_and_comes_from_its_signature():
    assert add.schema["additionalProperties"] is False
    assert add.schema["properties"]["a"]["minimum"] == 0
    assert add.schema["required"] == ["a"]


@pytest.mark.parametrize("arguments", [{"a": -1}, {}, {"a": 1, "c": 2}, {"a": "x"}])
async def test_a_call_that_does_not_fit_the_schema_never_reaches_the_function(arguments):
    with pytest.raises(ToolError) as refused:
        await add.invoke(arguments, None)
    assert refused.value.code == "invalid_arguments"
    assert "add" in (refused.value.suggested_action or "")


async def test_a_tool_that_takes_too_long_is_a_structured_retryable_error():
    @tool(risk=Risk.LOW, effect=Effect.READ, timeout=0.01)
    async def sleepy() -> int:
        """Sleep."""
        await asyncio.sleep(1)
        return 1

    with pytest.raises(ToolError) as late:
        await sleepy.invoke({}, None)
    assert (late.value.code, late.value.retryable) == ("timeout", True)


async def test_a_defect_in_a_tool_does_not_show_its_text_to_the_model():
    @tool(risk=Risk.LOW, effect=Effect.READ)
    async def broken() -> int:
        """Break."""
        raise RuntimeError("password=hunter2")

    with pytest.raises(ToolError) as failed:
        await broken.invoke({}, None)
    assert failed.value.code == "tool_failed"
    assert "hunter2" not in str(failed.value)


async def test_an_output_of_another_type_than_declared_is_refused():
    @tool(risk=Risk.LOW, effect=Effect.READ)
    async def liar() -> int:
        """Lie."""
        return "many"  # type: ignore[return-value]

    with pytest.raises(ToolError) as wrong:
        await liar.invoke({}, None)
    assert wrong.value.code == "invalid_output"


async def _slow() -> int:
    await asyncio.sleep(1)
    return 1


async def _reset() -> int:
    raise ConnectionResetError


async def _ended() -> int:
    raise TerminalError("gone", code="gone")


async def _of_another_type() -> int:
    return "many"  # type: ignore[return-value]


@pytest.mark.parametrize("effect", [Effect.COMPENSABLE, Effect.IRREVERSIBLE])
@pytest.mark.parametrize("act", [_slow, _reset, _ended, _of_another_type])
async def test_any_failure_of_a_tool_that_must_not_be_repeated_is_an_unknown_outcome(act, effect):
    act.__doc__ = "Act."
    with pytest.raises(ToolError) as unknown:
        await tool(risk=Risk.HIGH, effect=effect, timeout=0.05)(act).invoke({}, None)
    assert (unknown.value.code, unknown.value.retryable) == ("outcome_unknown", False)


@pytest.mark.parametrize("said", [ToolError("full", "no room"), RetryableError("busy")])
async def test_an_error_raised_by_a_tool_on_purpose_means_nothing_happened(said):
    @tool(risk=Risk.HIGH, effect=Effect.IRREVERSIBLE)
    async def send() -> int:
        """Send."""
        raise said

    with pytest.raises(type(said)) as raised:
        await send.invoke({}, None)
    assert raised.value is said


async def test_a_timeout_of_the_tools_own_is_not_taken_for_the_end_of_its_time():
    @tool(risk=Risk.LOW, effect=Effect.READ, timeout=10)
    async def look() -> int:
        """Look."""
        raise TimeoutError

    with pytest.raises(ToolError) as failed:
        await look.invoke({}, None)
    assert (failed.value.code, "longer" in str(failed.value)) == ("tool_failed", False)


def test_a_tool_without_a_docstring_or_annotation_is_refused_at_import():
    with pytest.raises(TypeError, match="docstring"):

        @tool(risk=Risk.LOW, effect=Effect.READ)
        async def nameless(a) -> int:
            return a


def test_the_annotations_of_a_handler_say_what_the_agent_accepts(instructions):
    planner = Agent("p", description="d", instructions=instructions)

    @planner.handles
    async def plan(request: MakePlan, ctx: Context) -> Plan:
        raise AssertionError

    worker = Agent("w", description="d", instructions=instructions)

    @worker.handles
    async def work(step: DoStep, ctx: Context) -> Findings | AskHuman:
        raise AssertionError

    assert (planner.accepts, planner.card.plannable) == (MakePlan, False)
    assert (worker.accepts, worker.card.plannable) == (DoStep, True)


def test_a_handler_that_returns_something_else_than_an_answer_is_refused(instructions):
    agent = Agent("w", description="d", instructions=instructions)
    with pytest.raises(TypeError, match="must return"):

        @agent.handles
        async def work(step: DoStep, ctx: Context) -> str:
            return ""


def test_an_agent_with_more_than_forty_tools_is_refused(instructions):
    with pytest.raises(ValueError, match="40"):
        Agent("w", description="d", instructions=instructions, tools=[add] * 41)


def test_a_strict_schema_requires_every_property_and_allows_no_other():
    class Inner(BaseModel):
        title: str = Field("x", min_length=1)

    class Outer(BaseModel):
        inners: list[Inner] = Field(default_factory=list, max_length=3)
        default: int = 1

    schema = strict_schema(Outer)
    assert schema["required"] == ["inners", "default"]
    assert schema["$defs"]["Inner"]["required"] == ["title"]
    assert schema["$defs"]["Inner"]["additionalProperties"] is False
    assert "maxItems" not in schema["properties"]["inners"]
