"""Channels that fail, digests and quiet hours: nothing is lost, nothing else is delayed, and people know."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest
from aiokafka import AIOKafkaConsumer

from schemas.plan import Risk
from schemas.timer import TimerSet
from services.notifier import outlets
from shared.bus import decode
from tests.support.keeping_time import timekeeping
from tests.support.notifying import asked, happen, notifying, own, proposal, until

pytestmark = pytest.mark.broker

CHANNELS = """
[channels.post]
kind = "mail"
to = ["ops@example.org"]
{mail}

[channels.hook]
kind = "webhook"
url = "{url}"
secret = "hook"
{hook}

[[subscriptions]]
events = ["question"]
channels = ["post", "hook"]
"""


def both(tmp_path, mailbox, receiver, mail="", hook=""):
    text = CHANNELS.format(url=receiver.url(), mail=mail, hook=hook)
    return own(tmp_path, text, smtp=mailbox.url)


async def records(settings, topic: str, seconds=1.0) -> list:
    """Everything a topic holds."""
    found = []
    async with AIOKafkaConsumer(
        settings.topic_prefix + topic, bootstrap_servers=settings.kafka, auto_offset_reset="earliest"
    ) as consumer:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for each in (await consumer.getmany(timeout_ms=100)).values():
                found += each
    return found


def sample(notifier, name: str, **labels) -> float:
    return notifier.parts.registry.get_sample_value(name, labels) or 0.0


async def test_a_channel_that_hangs_delays_no_other(settings, topics, sentinel, tmp_path, mailbox, receiver):
    receiver.slow = 60.0
    async with notifying(settings, sentinel, both(tmp_path, mailbox, receiver)) as found:
        began = time.monotonic()
        for number in range(20):
            await happen(found.broker, settings, asked(run=f"run-{number}"))
        await until(lambda: len(mailbox.mails) == 20)
        took = time.monotonic() - began
    print(f"20 mails next to a hanging webhook: {took:.2f} s")
    assert took < 5
    assert len({each["Message-ID"] for each in mailbox.mails}) == 20


async def test_a_channel_that_refuses_is_retried_until_it_accepts_and_is_counted(
    settings, topics, sentinel, tmp_path, mailbox, receiver, monkeypatch
):
    monkeypatch.setattr(outlets, "LONGEST_REST", 0.2)
    receiver.status = 503
    async with timekeeping(settings), notifying(settings, sentinel, both(tmp_path, mailbox, receiver)) as found:
        await happen(found.broker, settings, asked())
        await until(lambda: len(mailbox.mails) == 1 and len(receiver.posts) >= 1)
        assert sample(found, "waggle_notifications_failed_total", channel="hook", error="refused") >= 1
        receiver.status = 200
        before = len(receiver.posts)
        await until(lambda: len(receiver.posts) > before, 40)
        await asyncio.sleep(1)
        assert len(receiver.posts) == before + 1
        assert sample(found, "waggle_notifications_sent_total", channel="hook", about="question") == 1
    assert len({headers["webhook-id"] for _, headers, _ in receiver.posts}) == 1
    assert len(mailbox.mails) == 1


async def test_a_letter_that_is_given_up_is_a_dead_letter_and_not_lost(
    settings, topics, sentinel, tmp_path, mailbox, receiver, monkeypatch
):
    monkeypatch.setattr("services.notifier.telling.PAUSES", (0.01,))
    monkeypatch.setattr(outlets, "LONGEST_REST", 0.01)
    mailbox.answer = "451 later"
    async with timekeeping(settings), notifying(settings, sentinel, both(tmp_path, mailbox, receiver)) as found:
        await happen(found.broker, settings, asked())
        dead: list = []
        async with asyncio.timeout(60):
            while not dead:
                dead = await records(settings, "notifications.dlt")
    [letter] = dead
    assert decode_notice(letter, settings).channel == "post"
    assert len(receiver.posts) == 1


def decode_notice(letter, settings):
    from schemas.notification import Notification

    assert letter.topic == f"{settings.topic_prefix}notifications.dlt"
    return Notification.read(letter.value)


async def test_a_redirect_is_not_followed(settings, topics, sentinel, tmp_path, mailbox, receiver):
    receiver.status, receiver.headers = 307, f"Location: {receiver.url('/elsewhere')}\r\n"
    async with notifying(settings, sentinel, both(tmp_path, mailbox, receiver)) as found:
        await happen(found.broker, settings, asked())
        await until(lambda: sample(found, "waggle_notifications_failed_total", channel="hook", error="refused") == 1)
    assert {path for path, _, _ in receiver.posts} == {"/hook"}


async def test_a_digest_is_one_letter_with_everything_of_its_interval(
    settings, topics, sentinel, tmp_path, mailbox, receiver
):
    channels = both(tmp_path, mailbox, receiver, mail='digest = "8s"', hook='digest = "8s"')
    async with timekeeping(settings), notifying(settings, sentinel, channels) as found:
        await asyncio.sleep(8 - time.time() % 8)  # the beginning of an interval
        for number in range(12):
            await happen(found.broker, settings, asked(run=f"run-{number}"))
        assert not mailbox.mails
        await until(lambda: mailbox.mails and receiver.posts, 30)
        await asyncio.sleep(2)
    [mail], [event] = mailbox.mails, receiver.bodies
    assert mail["Subject"] == "[Waggle] 12 notifications"
    assert event["type"] == "waggle.notification-digest.v1"
    assert {each["run_id"] for each in event["data"]["notifications"]} == {f"run-{number}" for number in range(12)}


async def test_a_digest_survives_the_loss_of_redis(settings, topics, sentinel, tmp_path, mailbox, receiver):
    channels = both(tmp_path, mailbox, receiver, mail='digest = "3s"')
    async with timekeeping(settings), notifying(settings, sentinel, channels) as found:
        await asyncio.sleep(3 - time.time() % 3)
        for number in range(3):
            await happen(found.broker, settings, asked(run=f"run-{number}"))
        await until(lambda: len(receiver.posts) == 3)
        await asyncio.sleep(0.5)
        await sentinel.own.flushall()
        await until(lambda: len(mailbox.mails) == 3, 30)
        await asyncio.sleep(1)
    assert len({each["Message-ID"] for each in mailbox.mails}) == 3
    assert len(receiver.posts) == 3


async def test_quiet_hours_hold_what_is_not_critical_until_they_end(
    settings, topics, sentinel, tmp_path, mailbox, receiver
):
    quiet = 'quiet = {from = "22:00", to = "07:00", zone = "Europe/Berlin", except_risk = "critical"}'
    night = datetime(2026, 1, 14, 23, 0, tzinfo=UTC)
    moment = [night]
    channels = both(tmp_path, mailbox, receiver, mail=quiet)
    async with notifying(settings, sentinel, channels, clock=lambda: moment[0]) as found:
        await happen(found.broker, settings, asked(run="high"))
        await happen(found.broker, settings, asked(run="critical", proposal=proposal(risk=Risk.CRITICAL)))
        await until(lambda: len(receiver.posts) == 2 and len(mailbox.mails) == 1)
        await asyncio.sleep(0.5)
        [mail] = mailbox.mails
        assert "critical risk" in mail["Subject"]
        [timer] = [decode(each, settings.topic_prefix).message for each in await records(settings, "retries.notifier")]
        assert isinstance(timer, TimerSet)
        assert timer.due == datetime(2026, 1, 15, 6, 0, tzinfo=UTC)  # seven in Berlin
        moment[0] = timer.due + timedelta(seconds=1)
        async with timekeeping(settings):  # by its own clock the timer is due
            await until(lambda: len(mailbox.mails) == 2, 30)
            await asyncio.sleep(0.5)
    assert "high risk" in mailbox.mails[1]["Subject"]
    assert len(mailbox.mails) == 2
