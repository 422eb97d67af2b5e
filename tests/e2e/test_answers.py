"""Answers other than yes or no in the whole swarm: a person changes a call, answers in words, or answers an agent."""

import asyncio
import json
import sys
from uuid import uuid4

import pytest
from mcp import Client, StdioServerParameters

from tests.support.approvals import mails_to
from tests.support.mcp_tasks import TasksClient, created
from tests.support.mcp_tasks import asked as asked_for
from tests.support.swarm import gateway, result_of, scripted, submit

pytestmark = pytest.mark.broker

__all__ = ["gateway"]


def readers() -> list[str]:
    """Six addresses of no other test: a mail to so many asks."""
    mark = uuid4().hex[:6]
    return [f"{mark}-{number}@example.org" for number in range(6)]


async def question_of(gateway, run_id: str, but: str = "") -> dict:
    """The open question of the run; `but`: id of one that was answered."""
    async with asyncio.timeout(60):
        while True:
            questions = (await gateway.get(f"/v1/runs/{run_id}")).json()["questions"]
            if asked := next((each["asked"] for each in questions if each["asked"]["request_id"] != but), None):
                return asked
            await asyncio.sleep(0.1)


async def decide(gateway, run_id: str, asked: dict, decision: str, **more) -> None:
    body = {"request_id": asked["request_id"], "decision": decision, "by": "eva", **more}
    answer = await gateway.post(f"/v1/runs/{run_id}/decisions", json=body)
    assert answer.status_code == 202, answer.text


async def test_a_mail_is_sent_as_a_person_has_changed_it(swarm, gateway):
    to = readers()
    run_id = await submit(gateway, f"Write a short note on tides and mail it to {', '.join(to)}")
    asked = await question_of(gateway, run_id)
    arguments = json.loads(asked["proposal"]["arguments"])
    changed = arguments | {"to": to[:1], "subject": "Changed"}
    await decide(gateway, run_id, asked, "edit", arguments=changed)
    result = await result_of(gateway, run_id)
    assert result["status"] == "complete"
    (mail,) = mails_to(swarm, to[0])
    assert (mail["To"], mail["Subject"]) == (to[0], "Changed")
    assert mails_to(swarm, to[1]) == []
    made = next(each for each in result["acting_calls"] if each["outcome"] == "made")
    assert json.loads(made["arguments"])["to"] == to[:1]


async def test_a_mail_is_not_sent_when_a_person_answers_in_words(swarm, gateway):
    to = readers()
    run_id = await submit(gateway, f"Write a short note on tides and mail it to {', '.join(to)}")
    asked = await question_of(gateway, run_id)
    await decide(gateway, run_id, asked, "respond", answer="We keep it to ourselves.")
    result = await result_of(gateway, run_id)
    assert result["status"] == "complete"
    assert mails_to(swarm, to[0]) == []
    assert [(each["outcome"], each["rule"]) for each in result["acting_calls"]] == [("refused", "person")]


@pytest.mark.parametrize(("decision", "told"), [("respond", "2026"), ("skip", "skipped")])
async def test_an_agents_own_question_is_answered_and_its_step_resumes(swarm, gateway, model, decision, told):
    mark = uuid4().hex
    call = {"name": "ask_person", "arguments": {"question": "Which year?", "options": ["2025", "2026"]}}
    when = {"agent": "research", "objective": mark}
    final = {"answer": "Done.", "facts": [], "sources": [], "confidence": 0.9, "caveats": []}
    await scripted(model, {"when": when | {"text": told, "turn": 1}, "reply": {"json": final}})
    await scripted(model, {"when": when | {"turn": 0}, "times": 1, "reply": {"calls": [call]}})
    run_id = await submit(gateway, f"Find out {mark}", shape="single", agent="research")
    asked = await question_of(gateway, run_id)
    assert (asked["kind"], asked["question"], asked["choices"]) == ("question", "Which year?", ["2025", "2026"])
    assert (asked["background"]["agent"], mark in asked["background"]["doing"]) == ("research", True)
    assert {each["answer"] for each in asked["offers"]} == {"respond", "reject", "skip"}
    await decide(gateway, run_id, asked, decision, answer="2026" if decision == "respond" else "")
    result = await result_of(gateway, run_id)
    assert (result["status"], result["answer"]) == ("complete", "Done.")


async def test_a_question_is_answered_through_an_mcp_task_by_another_process(swarm, gateway, model):
    mark = uuid4().hex
    call = {"name": "ask_person", "arguments": {"question": "Which year?", "options": ["2025", "2026"]}}
    when = {"agent": "research", "objective": mark}
    final = {"answer": "Done.", "facts": [], "sources": [], "confidence": 0.9, "caveats": []}
    await scripted(model, {"when": when | {"text": "2026", "turn": 1}, "reply": {"json": final}})
    await scripted(model, {"when": when | {"turn": 0}, "times": 1, "reply": {"calls": [call]}})
    args = ["-m", "services.cli", "mcp", "--allow", "decide", "--gateway", str(gateway.base_url)]
    server = StdioServerParameters(command=sys.executable, args=args)
    client = {"extensions": [TasksClient()], "elicitation_callback": unanswered}
    async with Client(server, **client) as waggle:
        task = await created(waggle.session, objective=f"Find out {mark}", agent="research")
    async with asyncio.timeout(120), Client(server, **client) as waggle:
        while (now := await asked_for(waggle.session, "tasks/get", task.task_id)).status == "working":
            await asyncio.sleep(0.1)
        assert now.status == "input_required"
        [(key, request)] = now.model_extra["inputRequests"].items()
        asked = request["params"]["message"].splitlines()
        assert {"Which year?", "Suggested answers: 2025, 2026"} <= set(asked)
        given = {"action": "accept", "content": {"answer": "respond", "message": "2026"}}
        for _ in range(2):  # an answer that is repeated, as after a lost acknowledgement
            await asked_for(waggle.session, "tasks/update", task.task_id, input_responses={key: given})
        while (now := await asked_for(waggle.session, "tasks/get", task.task_id)).status != "completed":
            await asyncio.sleep(0.1)
        assert now.result["structuredContent"]["answer"] == "Done."


async def unanswered(context, params):
    raise AssertionError("a question of a task is answered with `tasks/update`")
