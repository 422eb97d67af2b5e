"""`waggle notify` and what `waggle doctor` says of channels, with real receivers."""

import asyncio
import json

import pytest
from typer.testing import CliRunner

from infra.probe import free_port
from services.cli.app import app
from services.cli.checks.notifications import check_notifications
from shared.notify import read_notify
from tests.support.fake_gateway import dead_letter
from tests.support.notifying import SECRET, mailbox, receiver

__all__ = ["mailbox", "receiver"]

CHANNELS = """
[channels.post]
kind = "mail"
to = ["ops@example.org"]
digest = "1h"
quiet = {{from = "00:00", to = "23:59"}}

[channels.hook]
kind = "webhook"
url = "{url}"
secret = "hook"

[channels.chat]
kind = "slack"
url_secret = "chat"

[[subscriptions]]
events = ["question"]
channels = ["post", "hook"]
"""


@pytest.fixture
def environment(tmp_path, monkeypatch, mailbox, receiver):
    path = tmp_path / "notify.toml"
    path.write_text(CHANNELS.format(url=receiver.url()))
    read_notify.cache_clear()
    given = {
        "WAGGLE_NOTIFY": str(path),
        "WAGGLE_NOTIFY_SECRETS": f"hook={SECRET},chat={receiver.url('/secret-T0')}",
        "WAGGLE_SMTP": mailbox.url,
        "WAGGLE_MAIL_FROM": "waggle@example.org",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return given


async def notify(*arguments):
    """Run the command in a thread: the receivers are in this one's event loop."""
    return await asyncio.to_thread(CliRunner().invoke, app, ["notify", *arguments])


async def test_a_test_reaches_each_kind_of_channel_even_in_quiet_hours(environment, mailbox, receiver):
    for name in ("post", "hook", "chat"):
        ended = await notify("test", name, "--json")
        assert ended.exit_code == 0, ended.output
        assert json.loads(ended.stdout)["sent"] is True
    [mail] = mailbox.mails
    assert mail["Subject"] == "[Waggle] Test of this channel"
    assert [path for path, _, _ in receiver.posts] == ["/hook", "/secret-T0"]
    assert receiver.bodies[0]["data"]["about"] == "test"


async def test_a_refusal_names_the_channel_and_never_the_secret_address(environment, receiver):
    receiver.status = 404
    ended = await notify("test", "chat")
    assert ended.exit_code != 0
    assert "chat did not accept it: it answers 404" in ended.stderr
    assert "secret-T0" not in ended.output


async def test_an_unknown_channel_is_refused_with_the_known_ones(environment):
    ended = await notify("test", "pager")
    assert "there is no channel `pager`" in ended.stderr
    assert "chat, hook, post" in ended.stderr


def test_notifications_that_were_given_up_are_listed(waggle, script):
    name = "notifications.dlt/0/3"
    script.dead = {name: dead_letter(name, error="unreachable")}
    ended = waggle("notify", "failed")
    assert ended.exit_code == 0
    assert name in ended.stdout
    assert script.searches == [{"topic": "notifications", "state": "open", "limit": "50"}]


async def test_the_doctor_names_what_is_wrong_with_each_channel(environment, tmp_path):
    found = {each.subject: each for each in await check_notifications(environment)}
    assert {name: each.level for name, each in found.items()} == {
        "channel post": "ok",
        "channel hook": "ok",
        "channel chat": "warn",
    }
    broken = tmp_path / "broken.toml"
    broken.write_text(CHANNELS.format(url=f"http://127.0.0.1:{free_port()}/x"))
    changed = environment | {"WAGGLE_NOTIFY": str(broken), "WAGGLE_NOTIFY_SECRETS": f"hook={SECRET}"}
    found = {each.subject: each for each in await check_notifications(changed)}
    assert found["channel hook"].level == "fail"
    assert "cannot be reached" in found["channel hook"].found
    assert "no entry `chat`" in found["channel chat"].found
    assert all(SECRET not in each.found for each in found.values())
