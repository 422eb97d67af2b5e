"""The simulated model as its callers meet it: over HTTP, with the official client."""

import json
import socket
import subprocess
import sys
import time

import httpx
import openai
import pytest

MODEL = "waggle-simulated"
TOOL = {
    "type": "function",
    "function": {
        "name": "list_tables",
        "description": "List the tables.",
        "parameters": {"type": "object", "properties": {}, "additionalProperties": False},
    },
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def server():
    port = free_port()
    command = [sys.executable, "-m", "infra.simulated_model", "--port", str(port), "--allow-control"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url)
        yield url
    finally:
        process.terminate()
        process.wait(10)


def _wait(url: str) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            httpx.get(f"{url}/health", trust_env=False).raise_for_status()
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the server did not start")


@pytest.fixture
def client(server):
    http = httpx.Client(trust_env=False)
    with openai.OpenAI(base_url=f"{server}/v1", api_key="none", max_retries=0, http_client=http) as client:
        yield client
    httpx.delete(f"{server}/scenarios", trust_env=False).raise_for_status()


def play(server: str, **scenario) -> None:
    httpx.post(f"{server}/scenarios", json={"name": "test", **scenario}, trust_env=False).raise_for_status()


def chat(agent: str = "data", objective: str = "Summarise sales.csv", **brief) -> list[dict]:
    content = {"objective": objective, "constraints": [], "feedback": [], "files": [], "earlier_steps": [], **brief}
    return [
        {"role": "system", "content": f"You are the {agent} agent of Waggle.\n\nDo it well."},
        {"role": "user", "content": json.dumps(content, indent=1)},
    ]


def ask(client, messages=None, **more):
    return client.chat.completions.create(model=MODEL, messages=messages or chat(), **more)


def test_a_reply_says_that_it_is_simulated(client):
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=chat(), tools=[TOOL])
    assert raw.headers["x-waggle-simulated"] == "1"
    assert raw.parse().system_fingerprint == "simulated"
    assert [model.id for model in client.models.list()] == [MODEL]


def test_the_same_request_gives_the_same_reply(client):
    assert ask(client, tools=[TOOL]) == ask(client, tools=[TOOL])


def test_an_agent_calls_a_tool_that_is_offered_and_answers_without_one(client):
    called = ask(client, tools=[TOOL]).choices[0]
    assert called.finish_reason == "tool_calls"
    assert called.message.tool_calls[0].function.name == "list_tables"
    answered = ask(client).choices[0]
    assert answered.finish_reason == "stop"
    assert json.loads(answered.message.content)["confidence"] < 0.5


def test_a_tool_choice_of_none_is_kept(client):
    assert ask(client, tools=[TOOL], tool_choice="none").choices[0].message.tool_calls is None


def test_a_stream_carries_the_same_reply_and_its_usage(client):
    whole = ask(client)
    pieces = list(ask(client, stream=True, stream_options={"include_usage": True}))
    said = "".join(p.choices[0].delta.content or "" for p in pieces if p.choices)
    assert said == whole.choices[0].message.content
    assert pieces[-1].usage == whole.usage
    assert {piece.id for piece in pieces} == {whole.id}


def test_a_stream_carries_tool_calls(client):
    pieces = list(ask(client, tools=[TOOL], stream=True))
    calls = [call for p in pieces if p.choices for call in p.choices[0].delta.tool_calls or []]
    assert [call.function.name for call in calls] == ["list_tables"]
    assert pieces[-1].choices[0].finish_reason == "tool_calls"


def test_a_reply_ends_where_the_tokens_end(client):
    cut = ask(client, max_tokens=5)
    assert cut.choices[0].finish_reason == "length"
    assert cut.usage.completion_tokens == 5


def test_a_stranger_gets_json_of_the_schema_it_demands(client):
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 3}}, "required": ["n"]}
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    reply = ask(client, [{"role": "user", "content": "a number"}], response_format=form)
    assert json.loads(reply.choices[0].message.content) == {"n": 3}


def test_a_bad_request_is_refused_with_its_reason(client):
    with pytest.raises(openai.BadRequestError, match="messages"):
        client.chat.completions.create(model=MODEL, messages=[])
    with pytest.raises(openai.NotFoundError, match="gpt-none"):
        client.chat.completions.create(model="gpt-none", messages=chat())


def test_a_rate_limit_names_its_retry_time_and_applies_as_often_as_configured(server, client):
    play(server, when={"agent": "data"}, times=1, fault={"status": 429, "retry_after": 2})
    with pytest.raises(openai.RateLimitError) as refused:
        ask(client)
    assert refused.value.response.headers["retry-after"] == "2"
    assert ask(client).choices[0].finish_reason == "stop"


def test_scenarios_choose_by_agent_objective_turn_and_feedback(server, client):
    when = {"agent": "reviewer", "objective": "ORDERS", "turn": 0, "feedback": True}
    play(server, when=when, reply={"json": {"accepted": True, "reasons": [], "redo": []}})
    wanted = chat("reviewer", "Check the orders", feedback=["again"])
    assert json.loads(ask(client, wanted).choices[0].message.content)["accepted"] is True
    assert json.loads(ask(client, chat("reviewer", "Check the orders")).choices[0].message.content)["accepted"] is False


def test_content_can_be_spoiled(server, client):
    play(server, when={"agent": "data", "turn": 0}, times=1, fault={"truncate": True})
    cut = ask(client).choices[0]
    assert cut.finish_reason == "length"
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        json.loads(cut.message.content)
    play(server, times=1, fault={"invalid_arguments": True})
    with pytest.raises(ValueError, match="Expecting"):
        json.loads(ask(client, tools=[TOOL]).choices[0].message.tool_calls[0].function.arguments)
    play(server, times=1, fault={"unknown_tool": True})
    assert ask(client, tools=[TOOL]).choices[0].message.tool_calls[0].function.name != "list_tables"


def test_a_connection_can_be_dropped_and_a_server_can_fail(server, client):
    play(server, times=1, fault={"drop": True})
    with pytest.raises(openai.APIConnectionError):
        ask(client)
    play(server, times=1, fault={"status": 500})
    with pytest.raises(openai.InternalServerError):
        ask(client)


def test_a_delay_outlasts_an_impatient_client(server, client):
    play(server, times=1, fault={"delay": 1.0})
    with pytest.raises(openai.APITimeoutError):
        ask(client, timeout=0.2)


def test_the_calls_are_counted_from_outside(server, client):
    before = httpx.get(f"{server}/calls", trust_env=False).json()["count"]
    ask(client, chat("research", "Find the handbook"))
    after = httpx.get(f"{server}/calls", trust_env=False).json()
    assert after["count"] == before + 1
    called = after["calls"][-1]
    assert called.pop("usage")["total_tokens"] > 0
    assert called == {
        "agent": "research",
        "model": MODEL,
        "objective": "Find the handbook",
        "turn": 0,
        "scenario": None,
    }


def test_a_misspelt_scenario_is_refused(server):
    wrong = httpx.post(f"{server}/scenarios", json={"name": "x", "whem": {}}, trust_env=False)
    assert wrong.status_code == 400
    assert "whem" in wrong.json()["error"]["message"]
