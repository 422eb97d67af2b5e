"""Messages to a run at work over HTTP, on a real broker and Redis."""

import asyncio
import json

import pytest

from schemas.approval import AddMessage
from schemas.caller_message import LONGEST_MESSAGE, MOST_MESSAGES
from shared.runs.messages import ScreenedMessage
from tests.support.gateway_fixtures import apply, begin, cancel, error_of, records_of

SAID = {"by": "ada", "text": "only March", "message_id": "m1"}


def added(text: str = "only March", id: str = "m1", by: str = "ada") -> ScreenedMessage:
    return ScreenedMessage(AddMessage(run_id="run-m", tenant="default", by=by, message_id=id, text=text))


async def test_a_message_is_published_to_its_run_and_shown_with_it(gateway, store, settings):
    await begin(store, "run-m")
    answer = await gateway.post("/v1/runs/run-m/messages", json=SAID)
    assert (answer.status_code, answer.json()["message_id"]) == (202, "m1")
    [record] = await records_of(settings, "control", 1)
    sent = AddMessage.read(record.value)
    assert (sent.text, sent.by, sent.message_id, record.key) == ("only March", "ada", "m1", b"run-m")
    await apply(store, "run-m", ScreenedMessage(sent))
    run = (await gateway.get("/v1/runs/run-m")).json()
    assert [(each["text"], each["by"], each["own"]) for each in run["messages"]] == [("only March", "ada", True)]
    entry = (await gateway.get("/v1/runs/run-m/record?contents=true")).json()["entries"]
    assert any(each["name"] == "messages" and each["by"] == "ada" for each in entry)


async def test_a_message_that_the_run_has_is_accepted_and_not_published_again(gateway, store, settings):
    await begin(store, "run-m")
    await apply(store, "run-m", added())
    assert (await gateway.post("/v1/runs/run-m/messages", json=SAID)).status_code == 202
    other = SAID | {"message_id": "m2"}
    assert (await gateway.post("/v1/runs/run-m/messages", json=other)).status_code == 202
    [record] = await records_of(settings, "control", 1)
    assert json.loads(record.value)["message_id"] == "m2"


async def test_a_message_without_an_id_is_given_one(gateway, store):
    await begin(store, "run-m")
    ids = {(await gateway.post("/v1/runs/run-m/messages", json=SAID | {"message_id": None})).json()["message_id"]}
    ids.add((await gateway.post("/v1/runs/run-m/messages", json=SAID | {"message_id": None})).json()["message_id"])
    assert len(ids) == 2


@pytest.mark.parametrize("text", ["", "  \n ", "x" * (LONGEST_MESSAGE + 1)])
async def test_an_empty_or_too_long_message_is_refused(gateway, store, text):
    await begin(store, "run-m")
    assert error_of(await gateway.post("/v1/runs/run-m/messages", json=SAID | {"text": text}), 422)


async def test_an_ended_run_refuses_a_message_and_names_the_way_to_continue(gateway, store):
    await begin(store, "run-m")
    await cancel(store, "default", "run-m")
    error = error_of(await gateway.post("/v1/runs/run-m/messages", json=SAID), 409)
    assert error["code"] == "ended"
    assert "session" in error["suggested_action"]


async def test_a_run_with_the_most_messages_refuses_another(gateway, store):
    await begin(store, "run-m")
    for number in range(MOST_MESSAGES):
        await apply(store, "run-m", added(id=f"n{number}"))
    error = error_of(await gateway.post("/v1/runs/run-m/messages", json=SAID), 409)
    assert (error["code"], str(MOST_MESSAGES) in error["message"]) == ("wrong_state", True)


async def test_a_message_is_among_the_events_that_followers_of_its_run_get(gateway, store):
    await begin(store, "run-m")
    await apply(store, "run-m", added())
    async with gateway.stream("GET", "/v1/runs/run-m/events") as response, asyncio.timeout(10):
        async for line in response.aiter_lines():
            if line.startswith("data:") and "only March" in line:
                break
