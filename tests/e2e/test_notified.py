"""People are notified of a whole swarm's questions: within two seconds of each, once, over a kill of the notifier."""

import asyncio
import os
import signal
import time
from datetime import datetime
from email import message_from_bytes, policy

import httpx
import pytest

from tests.conftest import started
from tests.support.notifying import SECRET, receiver, until
from tests.support.swarm import submit

__all__ = ["receiver"]

CHANNELS = """
[channels.post]
kind = "mail"
to = ["approvers@example.org"]

[channels.hook]
kind = "webhook"
url = "{url}"
secret = "hook"

[[subscriptions]]
events = ["question"]
min_risk = "high"
channels = ["post", "hook"]
"""
SERVICES = ["gateway", "orchestrator", "timekeeper", "communication", "notifier"]


@pytest.fixture
async def swarm(own_kafka, model, receiver, tmp_path):
    """The services that a question about a mail needs, and the notifier."""
    path = tmp_path / "notify.toml"
    path.write_text(CHANNELS.format(url=receiver.url()))
    given = {"WAGGLE_KAFKA": own_kafka, "OPENAI_BASE_URL": f"{model}/v1", "OPENAI_API_KEY": "x"}
    given |= {"WAGGLE_NOTIFY": str(path), "WAGGLE_NOTIFY_SECRETS": f"hook={SECRET}"}
    async with started(tmp_path / "stack", os.environ | given, SERVICES) as stack:
        yield stack


async def asks(gateway, number: int) -> None:
    """Submit a task whose mail to six readers needs an approval."""
    readers = ", ".join(f"reader{number}-{each}@example.org" for each in range(6))
    await submit(gateway, f"Write a note on tides and mail it to {readers}", shape="single", agent="communication")


def mails(swarm) -> list:
    found = [message_from_bytes(path.read_bytes(), policy=policy.default) for path in swarm.state.mailbox.glob("*.eml")]
    return [each for each in found if each["To"] == "approvers@example.org"]


async def test_a_question_of_the_swarm_is_mailed_and_posted_once_and_soon_over_a_kill(swarm, receiver):
    late: dict[str, float] = {}

    async def watch():
        seen = 0
        while True:
            for body in receiver.bodies[seen:]:
                seen += 1
                late.setdefault(body["id"], time.time() - datetime.fromisoformat(body["time"]).timestamp())
            await asyncio.sleep(0.01)

    watching = asyncio.create_task(watch())
    url = swarm.endpoints["WAGGLE_GATEWAY"]
    async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as gateway:
        for number in range(5):
            await asks(gateway, number)
        await until(lambda: len(receiver.posts) == 5 and len(mails(swarm)) == 5, 90)
        undisturbed = max(late.values())
        [notifier] = [child for child in swarm._children if child.name == "notifier"]
        os.kill(notifier.pid, signal.SIGKILL)
        for number in range(5, 10):
            await asks(gateway, number)
        await until(lambda: len(late) == 10 and len(mails(swarm)) == 10, 90)
    await asyncio.sleep(1)
    watching.cancel()
    print(f"notified after at most {undisturbed:.2f} s; {max(late.values()):.2f} s while killed and restarted")
    assert undisturbed < 2
    assert len(receiver.posts) == 10
    assert len({body["data"]["request_id"] for body in receiver.bodies}) == 10
    [text] = {mail.get_content_type() for mail in mails(swarm)}
    assert text == "text/plain"
