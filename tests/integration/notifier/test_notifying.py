"""The notifier on a real broker, with a real mail server and a real HTTP receiver: once, quickly, over failures."""

import asyncio
import base64
import hashlib
import hmac
import time

import pytest

from schemas.budget import Usage
from schemas.event import Spent
from schemas.question_events import QuestionReminded
from tests.support.notifying import SECRET, asked, happen, notifying, own, until

pytestmark = pytest.mark.broker

BOTH = """
[channels.post]
kind = "mail"
to = ["ops@example.org", "ada@example.org"]

[channels.hook]
kind = "webhook"
url = "{url}"
secret = "hook"

[[subscriptions]]
events = ["question", "reminder", "escalation", "expired", "failed", "budget", "dead_letter"]
channels = ["post", "hook"]
"""


@pytest.fixture
def both(tmp_path, mailbox, receiver):
    return own(tmp_path, BOTH.format(url=receiver.url()), smtp=mailbox.url)


async def test_a_question_is_mailed_and_posted_within_two_seconds(settings, topics, sentinel, both, mailbox, receiver):
    async with notifying(settings, sentinel, both) as found:
        raised = time.monotonic()
        await happen(found.broker, settings, asked())
        await until(lambda: mailbox.mails and receiver.posts)
        took = time.monotonic() - raised
        await asyncio.sleep(0.5)
    print(f"notified after {took:.3f} s")
    assert took < 2
    [mail], [(path, headers, body)] = mailbox.mails, receiver.posts
    assert mail["Subject"] == "[Waggle] approval of a call: send_mail (high risk)"
    text = mail.get_content()
    for expected in ("| May the mail be sent?", '| {"to": ["ada@example.org"]', "- approve: the mail is sent"):
        assert expected in text
    assert "2 people of group sales" in text
    link = "https://waggle.example.org/runs/run-1/question?id=run-1%2Fq1&tenant=default"
    assert link in text.splitlines()
    [event] = receiver.bodies
    assert path == "/hook"
    assert event["specversion"] == "1.0"
    assert event["subject"] == "run-1"
    assert event["data"]["link"] == link
    assert event["id"] == headers["idempotency-key"] == headers["webhook-id"]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = hmac.new(base64.b64decode(SECRET[6:]), signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(expected).decode()}"


async def test_nothing_older_than_the_first_start_is_notified_and_nothing_is_missed_after_it(
    settings, topics, sentinel, both, mailbox, receiver
):
    from shared import bus

    broker = bus.connect(settings, "test")
    await broker.start()
    await happen(broker, settings, asked(run="old"))
    async with notifying(settings, sentinel, both) as found:
        await happen(found.broker, settings, asked(run="first"))
        await until(lambda: len(receiver.posts) == 1 and len(mailbox.mails) == 1)
    await happen(broker, settings, asked(run="while-down"))
    await broker.stop()
    async with notifying(settings, sentinel, both):
        await until(lambda: len(receiver.posts) == 2 and len(mailbox.mails) == 2)
        await asyncio.sleep(0.5)
    assert [each["subject"] for each in receiver.bodies] == ["first", "while-down"]


async def test_the_same_change_read_twice_is_notified_once(settings, topics, sentinel, both, mailbox, receiver):
    async with notifying(settings, sentinel, both) as found:
        again = asked()
        for number in (1, 1, 1):
            await happen(found.broker, settings, again, number=number)
        await happen(found.broker, settings, asked(run="last"))
        await until(lambda: len(receiver.posts) >= 2 and len(mailbox.mails) >= 2)
        await asyncio.sleep(1)
    assert sorted(each["subject"] for each in receiver.bodies) == ["last", "run-1"]
    assert len(mailbox.mails) == 2


async def test_a_reminder_repeats_the_question_and_events_of_no_interest_are_passed_over(
    settings, topics, sentinel, both, mailbox, receiver
):
    question = asked()
    about = {"run_id": question.run_id, "tenant": "default", "at": question.at, "by": "orchestrator"}
    reminded = QuestionReminded(**about, request_id=question.request_id, number=1, groups=["sales"])
    async with notifying(settings, sentinel, both) as found:
        await happen(found.broker, settings, Spent(**about, usage=Usage(), models=[]))
        await happen(found.broker, settings, question, number=2)
        await happen(found.broker, settings, reminded, number=3)
        await until(lambda: len(receiver.posts) == 2)
    assert [each["data"]["about"] for each in receiver.bodies] == ["question", "reminder"]
    assert "May the mail be sent?" in receiver.bodies[1]["data"]["text"]
