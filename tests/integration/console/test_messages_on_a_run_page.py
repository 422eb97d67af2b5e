"""Messages to a run at work from its page, by form alone, in front of a real gateway."""

import pytest

from schemas.approval import AddMessage
from shared.blackboard import RunStore
from shared.runs.messages import ScreenedMessage
from tests.support.console import Visit, console_for
from tests.support.gateway_fixtures import apply, begin, cancel, records_of, serving

HOSTILE = '<script>alert(1)</script> "only" March'


@pytest.fixture
def store(sentinel) -> RunStore:
    return RunStore(sentinel, ttl=3_600)


@pytest.fixture
async def console(settings, topics, redis):
    async with serving(settings) as gateway, console_for(settings, str(gateway.base_url)) as client:
        yield client


async def test_a_message_is_sent_once_by_a_form_and_shown_as_text(console, store, settings):
    await begin(store, "run-a")
    visit = Visit(console)
    for _ in range(2):
        answer = await visit.send("/runs/run-a/messages", text=HOSTILE, by="ada", nonce="n1")
        assert answer.status_code == 303
    commands = [AddMessage.read(record.value) for record in await records_of(settings, "control", 2)]
    assert {(each.text, each.by, each.message_id) for each in commands} == {(HOSTILE, "ada", "console-n1")}
    for each in commands:
        await apply(store, "run-a", ScreenedMessage(each))
    shown = (await visit.open("/runs/run-a?notice=said")).text
    assert shown.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 1
    assert "<script>alert" not in shown
    assert "The gateway accepted the message" in shown


async def test_a_refused_message_is_kept_in_its_form_with_the_reason(console, store):
    await begin(store, "run-a")
    visit = Visit(console)
    answer = await visit.send("/runs/run-a/messages", text="  ", by="ada")
    assert (answer.status_code, "Nothing was said" in answer.text) == (422, True)
    answer = await visit.send("/runs/run-a/messages", text="x" * 4_001, by="ada")
    assert (answer.status_code, "x" * 4_001 in answer.text) == (422, True)


async def test_an_ended_run_offers_no_form_and_shows_what_was_said(console, store):
    await begin(store, "run-a")
    order = AddMessage(run_id="run-a", tenant="default", by="ada", message_id="m", text="only March")
    await apply(store, "run-a", ScreenedMessage(order))
    await cancel(store, "default", "run-a")
    shown = (await Visit(console).open("/runs/run-a")).text
    assert "only March" in shown
    assert 'action="/runs/run-a/messages"' not in shown


async def test_a_form_from_elsewhere_says_nothing(console, store):
    await begin(store, "run-a")
    said = {"text": "pay", "by": "eve"}
    answer = await console.post(
        "/runs/run-a/messages", data=said, headers={"Origin": str(console.base_url).rstrip("/")}
    )
    assert answer.status_code == 403
