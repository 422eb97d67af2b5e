"""Contents on spans: in the form of OpenTelemetry's GenAI conventions, and only if enabled."""

import json

import pytest
from opentelemetry.sdk.trace import TracerProvider

from schemas.budget import Usage
from schemas.versions import Versions
from shared.llm import Reply, ToolRequest
from shared.telemetry import agent_spans, traces
from shared.telemetry.contents import CONTENTS, MOST_CONTENT, OPT_IN

USAGE = Usage()
CALL = ToolRequest(id="c1", name="add", arguments='{"a": 1}')
WANTS_A_TOOL = Reply(content=None, tool_requests=[CALL], finish_reason="tool_calls", model="m", seconds=1, usage=USAGE)
CHAT = [
    {"role": "system", "content": "Calculate."},
    {"role": "user", "content": "1 + 2?"},
    WANTS_A_TOOL.message,
    {"role": "tool", "tool_call_id": "c1", "content": "3"},
]
WRITTEN_CALL = {"type": "tool_call", "id": "c1", "name": "add", "arguments": '{"a": 1}'}


@pytest.fixture
def said(monkeypatch):
    """The attributes of a model call's span."""
    monkeypatch.setattr(traces, "_tracer", TracerProvider().get_tracer("test"))

    def of(chat, reply: Reply, wanted: str = "true"):
        monkeypatch.setenv(CONTENTS, wanted)
        with agent_spans.chatting("m", 10, chat, None, None) as span:
            agent_spans.record_reply(span, reply.model, reply.finish_reason, reply.message)
        return span.attributes

    return of


def test_prompts_calls_and_results_are_messages_with_parts(said):
    told = said(CHAT, WANTS_A_TOOL)
    assert json.loads(told["gen_ai.input.messages"]) == [
        {"role": "system", "parts": [{"type": "text", "content": "Calculate."}]},
        {"role": "user", "parts": [{"type": "text", "content": "1 + 2?"}]},
        {"role": "assistant", "parts": [WRITTEN_CALL]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "3"}]},
    ]
    assert json.loads(told["gen_ai.output.messages"]) == [{"role": "assistant", "parts": [WRITTEN_CALL]}]


def test_by_opt_in_instructions_are_apart_and_replies_have_their_finish_reason(said, monkeypatch):
    monkeypatch.setenv(OPT_IN, "http, gen_ai_latest_experimental")
    told = said(CHAT, WANTS_A_TOOL)
    assert json.loads(told["gen_ai.system_instructions"]) == [{"type": "text", "content": "Calculate."}]
    assert [each["role"] for each in json.loads(told["gen_ai.input.messages"])] == ["user", "assistant", "tool"]
    assert json.loads(told["gen_ai.output.messages"]) == [
        {"role": "assistant", "parts": [WRITTEN_CALL], "finish_reason": "tool_calls"}
    ]
    assert "gen_ai.system_instructions" not in said(CHAT, WANTS_A_TOOL, wanted="")


@pytest.mark.parametrize(("asked", "wanted"), [("gen_ai_latest_experimental", True), ("http", False)])
def test_by_opt_in_every_span_of_an_agent_names_the_run_and_its_own_the_version(monkeypatch, asked, wanted):
    monkeypatch.setattr(traces, "_tracer", TracerProvider().get_tracer("test"))
    monkeypatch.setenv(OPT_IN, asked)
    versions = Versions(agent="1+a", prompt="1+p", tools="1+t")
    with (
        agent_spans.invoking_agent("data", "run-1", "s", "h", versions) as agent,
        agent_spans.chatting("m", 10, CHAT, None, None) as chat,
        agent_spans.executing_tool("add", "c1", "{}", replay=False) as tool,
    ):
        pass
    assert agent.attributes.get("gen_ai.agent.version") == ("1+a" if wanted else None)
    assert [each.attributes.get("gen_ai.conversation.id") for each in (chat, tool)] == ["run-1" if wanted else None] * 2


def test_long_contents_are_cut_off_and_stay_json(said):
    long = [{**each, "content": "é" * 3 * MOST_CONTENT} for each in CHAT]
    calls = [CALL.model_copy(update={"arguments": "x" * MOST_CONTENT})] * 5
    told = said(long, WANTS_A_TOOL.model_copy(update={"content": "y" * MOST_CONTENT, "tool_requests": calls}))
    for name in ("gen_ai.input.messages", "gen_ai.output.messages"):
        assert len(json.loads(told[name]))
        assert len(told[name]) < 2.2 * MOST_CONTENT


@pytest.mark.parametrize("wanted", ["", "false", "yes"])
def test_contents_are_on_no_span_unless_enabled(said, wanted):
    assert not any("messages" in name for name in said(CHAT, WANTS_A_TOOL, wanted))
