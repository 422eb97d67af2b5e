"""The notifier as a process of its own that is killed: counted from outside, each question once per channel."""

import asyncio
import os
import signal
import sys
from collections import Counter
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from infra.probe import answers, free_port
from shared import bus
from tests.support.notifying import SECRET, asked, happen, until

pytestmark = pytest.mark.broker

ROOT = Path(__file__).parents[3]
CHANNELS = """
[channels.post]
kind = "mail"
to = ["ops@example.org"]

[channels.hook]
kind = "webhook"
url = "{url}"
secret = "hook"

[[subscriptions]]
events = ["question"]
channels = {channels}
"""


class Process:
    """A notifier that is started, killed by its id, and started once more."""

    def __init__(self, settings, environment: dict[str, str]) -> None:
        self.port = free_port()
        self.environment = os.environ | {
            "WAGGLE_KAFKA": settings.kafka,
            "WAGGLE_REDIS": settings.redis,
            "WAGGLE_POSTGRES": settings.postgres,
            "WAGGLE_TOPIC_PREFIX": settings.topic_prefix,
            "WAGGLE_HTTP_PORT": str(self.port),
            "WAGGLE_SESSION_TIMEOUT": "2.5",
            **environment,
        }
        self.running: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self.running = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.notifier", env=self.environment, cwd=ROOT
        )
        async with asyncio.timeout(60):
            while not await answers(f"http://127.0.0.1:{self.port}/ready"):
                assert self.running.returncode is None, "it has ended"
                await asyncio.sleep(0.05)

    async def kill(self) -> None:
        assert self.running is not None
        with suppress(ProcessLookupError):
            os.kill(self.running.pid, signal.SIGKILL)
        await self.running.wait()


@asynccontextmanager
async def process(settings, tmp_path, mailbox, receiver, channels='["post", "hook"]'):
    """A running notifier, and a broker to write events with."""
    path = tmp_path / "notify.toml"
    path.write_text(CHANNELS.format(url=receiver.url(), channels=channels))
    given = {"WAGGLE_NOTIFY": str(path), "WAGGLE_NOTIFY_SECRETS": f"hook={SECRET}", "WAGGLE_SMTP": mailbox.url}
    found, broker = Process(settings, given), bus.connect(settings, "test")
    await broker.start()
    await found.start()
    try:
        yield found, broker
    finally:
        await found.kill()
        await broker.stop()


def ids(receiver) -> Counter:
    return Counter(headers["webhook-id"] for _, headers, _ in receiver.posts)


async def test_killed_before_the_receiver_has_it_a_question_is_posted_once(
    settings, topics, sentinel, tmp_path, mailbox, receiver
):
    async with process(settings, tmp_path, mailbox, receiver, '["hook"]') as (notifier, broker):
        receiver.deaf = True
        await happen(broker, settings, asked())
        await until(lambda: receiver.connected == 1)  # claimed, and on its way
        await notifier.kill()
        receiver.deaf = False
        await notifier.start()
        await until(lambda: receiver.posts, 40)
        await asyncio.sleep(2)
    assert list(ids(receiver).values()) == [1]


async def test_killed_between_sending_and_mark_it_is_posted_again_with_the_same_id(
    settings, topics, sentinel, tmp_path, mailbox, receiver
):
    async with process(settings, tmp_path, mailbox, receiver, '["hook"]') as (notifier, broker):
        receiver.slow = 60.0  # it has the question, and the notifier does not know
        await happen(broker, settings, asked())
        await until(lambda: len(receiver.posts) == 1)
        await notifier.kill()
        receiver.slow = 0.0
        await notifier.start()
        await until(lambda: len(receiver.posts) == 2, 40)
        await happen(broker, settings, asked(run="next"))
        await until(lambda: len(receiver.posts) == 3, 40)
        await asyncio.sleep(1)
    assert sorted(ids(receiver).values()) == [1, 2]
    assert len({body for _, _, body in receiver.posts[:2]}) == 1


async def test_after_the_mark_neither_a_kill_nor_a_lost_redis_sends_it_again(
    settings, topics, sentinel, tmp_path, mailbox, receiver
):
    async with process(settings, tmp_path, mailbox, receiver) as (notifier, broker):
        for number in range(3):
            await happen(broker, settings, asked(run=f"run-{number}"))
        await until(lambda: len(receiver.posts) == 3 and len(mailbox.mails) == 3)
        await asyncio.sleep(1)  # offsets are committed ten times a second
        await notifier.kill()
        await sentinel.own.flushall()
        await sentinel.renew(2)
        await notifier.start()
        await happen(broker, settings, asked(run="last"))
        await until(lambda: len(receiver.posts) >= 4 and len(mailbox.mails) >= 4, 40)
        await asyncio.sleep(1)
    assert len(receiver.posts) == len(mailbox.mails) == 4
    assert set(ids(receiver).values()) == {1}


async def test_of_questions_raised_while_it_is_killed_again_and_again_none_is_lost_or_new_twice(
    settings, topics, sentinel, tmp_path, mailbox, receiver
):
    count = 40
    async with process(settings, tmp_path, mailbox, receiver) as (notifier, broker):

        async def ask():
            for number in range(count):
                await happen(broker, settings, asked(run=f"run-{number}"))
                await asyncio.sleep(0.2)

        asking = asyncio.create_task(ask())
        for _ in range(3):
            await asyncio.sleep(1.3)
            await notifier.kill()
            await notifier.start()
        await asking
        await until(lambda: len(ids(receiver)) == count, 60)
        await until(lambda: len({each["Message-ID"] for each in mailbox.mails}) == count, 60)
        await asyncio.sleep(1)
    posted = ids(receiver)
    print(f"{count} questions, 3 kills: {posted.total()} requests, {len(mailbox.mails)} mails")
    assert len(posted) == count
    assert {each["subject"] for each in receiver.bodies} == {f"run-{number}" for number in range(count)}
    assert posted.total() <= count + 3 * 8, "what was in flight, at most"
