"""Tasks of MCP (SEP-2663): a call of `run_task` is a task whose id is the run's, on stdio and over HTTP."""

import asyncio
import os
import signal
import sys
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp.types import ElicitResult

from infra.probe import free_port, listens
from schemas.api.runs import QuestionView
from tests.support.fake_gateway import RUN, view
from tests.support.mcp_tasks import TasksClient, asked, created, listened, outcome
from tests.support.plugging import until

ROOT = Path(__file__).parents[3]
COMMAND = ["-m", "services.cli", "mcp"]
ASKED = {"objective": "count"}
MISSING, INVALID, UNKNOWN_METHOD = -32021, -32602, -32601


@pytest.fixture
def client(gateway):
    """A client of `waggle mcp` on stdio; `tasks=False`: one without the extension."""

    @asynccontextmanager
    async def connected(*allowed, tasks=None, **options):
        args = [*COMMAND, "--gateway", gateway.url, *(part for each in allowed for part in ("--allow", each))]
        parameters = StdioServerParameters(command=sys.executable, args=args, cwd=ROOT)
        async with Client(
            parameters, extensions=[tasks or TasksClient()] if tasks is not False else [], **options
        ) as found:
            yield found

    return connected


@asynccontextmanager
async def http_server(gateway, port):
    """A process of `waggle mcp --port`, which is killed in the end."""
    command = [sys.executable, *COMMAND, "--gateway", gateway.url, "--port", str(port)]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=os.environ)
    try:
        async with asyncio.timeout(30):
            while not await listens(port):
                await asyncio.sleep(0.05)
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()


async def test_a_task_started_before_a_kill_is_found_and_ended_by_another_process(gateway, script):
    script.add()
    script.runs[RUN] = view("EXECUTING")
    port = free_port()
    address = f"http://127.0.0.1:{port}/mcp"
    async with http_server(gateway, port), Client(address, extensions=[TasksClient()]) as found:
        task = await created(found.session, **ASKED, key="k1")
        assert (task.task_id, task.status, task.ttl_ms, task.result) == (RUN, "working", None, None)
    async with http_server(gateway, port), Client(address, extensions=[TasksClient()]) as found:
        assert (await asked(found.session, "tasks/get", task.task_id)).status == "working"
        script.runs[RUN] = view("COMPLETE")
        result = await outcome(found.session, task.task_id)
        assert (result.is_error, result.structured_content["answer"]) == (False, "It is **so**.")
        await created(found.session, **ASKED, key="k1")
    assert [key for _, key, _ in script.tasks] == ["k1", "k1"], "the repeated call names the same run"


async def test_the_client_resolves_a_task_to_the_result_of_the_tool(client, script):
    script.add()
    async with client() as found:
        result = await found.call_tool("run_task", ASKED)
        assert (result.is_error, result.structured_content["status"]) == (False, "complete")
        script.add(status="failed", error={"code": "over_budget", "message": "no budget left"})
        failed = await found.call_tool("run_task", ASKED, meta={"waggle/idempotency-key": "run-7/step/call"})
        assert (failed.is_error, failed.structured_content["error"]["code"]) == (True, "over_budget")
    assert [key for _, key, _ in script.tasks][1:] == ["run-7/step/call"], "a repeat of that call would be that run"


async def test_a_client_without_the_extension_waits_for_the_result_and_sees_progress(client, script):
    script.add()
    script.runs[RUN] = view("EXECUTING")
    told = []

    async def tell(progress, total, message):
        told.append(message)
        script.runs[RUN] = view("COMPLETE")

    async with client(tasks=False) as found:
        result = await found.call_tool("run_task", ASKED, progress_callback=tell)
        assert result.structured_content["answer"] == "It is **so**."
        assert told == ["EXECUTING", "COMPLETE"]
        script.runs[RUN] = view("EXECUTING")
        late = await found.call_tool("run_task", ASKED | {"seconds": 0.2})
        assert late.is_error
        assert f"{RUN} is still in progress (EXECUTING); use follow_run" in late.content[0].text
        for method in ("tasks/get", "tasks/cancel", "tasks/update"):
            with pytest.raises(MCPError) as refused:
                await asked(found.session, method, RUN, input_responses={})
            assert refused.value.code == MISSING
            assert "io.modelcontextprotocol/tasks" in refused.value.data["requiredCapabilities"]["extensions"]
        with pytest.raises(MCPError) as refused:
            await listened(found.session, taskIds=[RUN])
        assert refused.value.code == MISSING


async def test_a_client_of_the_protocol_before_has_no_tasks(client, script):
    script.add()
    async with client(mode="legacy") as found:
        result = await found.call_tool("run_task", ASKED)
        assert result.structured_content["answer"] == "It is **so**."
        with pytest.raises(MCPError) as refused:
            await asked(found.session, "tasks/get", RUN)
        assert refused.value.code == UNKNOWN_METHOD


async def test_a_task_is_cancelled_once_and_an_unknown_one_is_an_error(client, script):
    script.add()
    script.runs[RUN] = view("EXECUTING")
    async with client() as found:
        await asked(found.session, "tasks/cancel", RUN)
        script.runs[RUN] = view("CANCELLED")
        await asked(found.session, "tasks/cancel", RUN)
        task = await asked(found.session, "tasks/get", RUN)
        assert (task.status, task.result) == ("cancelled", None)
        for method in ("tasks/get", "tasks/cancel", "tasks/update"):
            with pytest.raises(MCPError, match="this tenant has no run run-2") as refused:
                await asked(found.session, method, "run-2", input_responses={})
            assert refused.value.code == INVALID
        for method in ("tasks/list", "tasks/result"):
            with pytest.raises(MCPError) as refused:
                await asked(found.session, method, RUN)
            assert refused.value.code == UNKNOWN_METHOD
    reason = {"by": "an MCP client", "reason": "its MCP client cancelled the task"}
    assert script.commands == [(RUN, "cancel", reason)]


@pytest.mark.parametrize("over", ["stdio", "http"])
async def test_changes_of_a_task_are_sent_until_it_has_ended(client, gateway, script, over):
    script.add()
    script.runs[RUN] = view("EXECUTING")
    tasks, port = TasksClient(), free_port()
    server = http_server(gateway, port) if over == "http" else nullcontext()
    async with server:
        address = f"http://127.0.0.1:{port}/mcp"
        connected = Client(address, extensions=[tasks]) if over == "http" else client(tasks=tasks)
        async with connected as found:
            listening = asyncio.create_task(listened(found.session, taskIds=[RUN, "run-2"]))
            await until(lambda: tasks.changes)
            script.runs[RUN] = view("COMPLETE")
            await listening
            await until(lambda: len(tasks.changes) == 2)
    first, last = tasks.changes
    assert (first.task_id, first.status, first.result) == (RUN, "working", None)
    assert (last.status, last.result["structuredContent"]["answer"]) == ("completed", "It is **so**.")


async def test_listening_is_for_a_list_of_tasks_that_exist(client, script):
    async with client() as found:
        with pytest.raises(MCPError) as refused:
            await listened(found.session, taskIds="all")
        assert refused.value.code == INVALID
        assert (await listened(found.session, taskIds=["run-2"])).meta, "a stream without a known task ends at once"


async def test_listening_ends_with_a_task_that_is_forgotten_meanwhile(client, script):
    script.add()
    script.runs[RUN] = view("EXECUTING")
    tasks = TasksClient()
    async with client(tasks=tasks) as found:
        listening = asyncio.create_task(listened(found.session, taskIds=[RUN]))
        await until(lambda: tasks.changes)
        del script.runs[RUN]
        async with asyncio.timeout(30):
            await listening
    assert [each.status for each in tasks.changes] == ["working"]


async def answers_nothing(context, params):
    return ElicitResult(action="decline")


async def test_a_question_is_shown_but_cannot_be_answered_unless_the_client_may_decide(client, script):
    script.add_waiting()
    async with client(elicitation_callback=answers_nothing) as found:
        task = await created(found.session, **ASKED)
        assert task.status == "working"
        task = await asked(found.session, "tasks/get", RUN)
        assert (task.status, "inputRequests" in task.model_extra) == ("working", False)
        assert task.status_message == "WAITING_HUMAN: Send it?; a person answers with `waggle inbox`"
        accept = {"action": "accept", "content": {"answer": "approve"}}
        await asked(found.session, "tasks/update", RUN, input_responses={f"{RUN}/help/1": accept})
    assert script.commands == []


async def test_a_person_s_answer_is_bound_to_the_question_that_was_shown(client, script):
    offers = [{"answer": "approve", "effect": "It is sent."}, {"answer": "edit", "effect": "It is sent so."}]
    script.add_waiting(offers=offers, proposal=PROPOSAL)
    asked_for = script.runs[RUN].waiting_for
    script.runs[RUN] = view("WAITING_HUMAN", waiting_for=asked_for, questions=[QuestionView(asked=asked_for)])
    async with client("decide", elicitation_callback=answers_nothing) as found:
        task = await asked(found.session, "tasks/get", RUN)
        [(key, request)] = task.model_extra["inputRequests"].items()
        assert (task.status, request["method"]) == ("input_required", "elicitation/create")
        shown = request["params"]
        assert 'Arguments: {"to": "ben"}' in shown["message"]
        assert "\x1b" not in shown["message"]
        assert shown["requestedSchema"]["properties"]["answer"]["enum"] == ["approve", "edit"]

        async def answer(name, **content):
            given = {"action": "accept", "content": content}
            await asked(found.session, "tasks/update", RUN, input_responses={name: given})

        await answer(key.replace("#d", "#e"), answer="approve")
        await answer("unknown", answer="approve")
        await asked(found.session, "tasks/update", RUN, input_responses={key: {"action": "decline"}})
        assert script.commands == []
        for wrong in ({"answer": "skip"}, {"answer": "perhaps"}, {}, {"answer": "edit", "arguments": "[1]"}):
            with pytest.raises(MCPError, match="the answer does not fit the question") as refused:
                await answer(key, **wrong)
            assert refused.value.code == INVALID
        await answer(key, answer="edit", arguments='{"to": "ada"}')
        script.refusal_of_command = (409, "not_awaited", "the answer is not taken", "GET the run")
        with pytest.raises(MCPError, match="the answer is not taken"):
            await answer(key, answer="approve")
        script.runs[RUN] = view("EXECUTING")
        await answer(key, answer="approve")
    order = {"by": "an MCP client", "request_id": f"{RUN}/help/1", "decision": "edit", "answer": ""}
    order |= {"arguments": {"to": "ada"}, "digest": "d" * 64}
    assert script.commands == [(RUN, "decisions", order)]


PROPOSAL = {
    "call": "c1",
    "tool": "send",
    "arguments": '{"to": "ben"}\x1b[2J',
    "digest": "d" * 64,
    "agent": "writer",
    "doing": "send it",
    "risk": "high",
    "effect": "irreversible",
    "rule": "r",
    "reason": "it sends",
    "if_approved": "It is sent.",
    "if_rejected": "It is not.",
    "confidence": 0.9,
    "expires": 600,
    "usable": 600,
}
