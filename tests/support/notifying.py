"""A notifier in the test's own process, receivers that count from outside, and the events of a run."""

import asyncio
import base64
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy

import pytest
from aiosmtpd.smtp import SMTP
from prometheus_client import CollectorRegistry

from schemas.log import LoggedEvent, RunChanged
from schemas.plan import Effect, Risk
from schemas.question import Kind, Offer, Reply, Stage, Terms
from schemas.question_events import HelpRequested
from schemas.verdict import Proposal
from services.notifier.occasion import Console
from services.notifier.outlets import outlets_of
from services.notifier.settings import NotifierSettings
from services.notifier.telling import Teller
from services.notifier.watching import Watcher
from shared import blackboard, bus
from shared.blackboard.notices import Notices
from shared.bus import Deliverer, KeyedConsumer, encode, publish
from shared.bus.admin.beginning import begin_at_end
from shared.bus.groups import NOTIFIER, observed, table_of
from shared.bus.observer import Observer
from shared.notify import read_notify
from shared.service import Parts
from shared.telemetry.metrics import Metrics

SECRET = "whsec_" + base64.b64encode(b"s" * 24).decode()


def own(tmp_path, toml: str, **more) -> NotifierSettings:
    """Settings with a file of channels; each has a file of its own, because files are read once."""
    path = tmp_path / f"notify-{len(list(tmp_path.iterdir()))}.toml"
    path.write_text(toml)
    secrets = {"hook": SECRET, "chat": "https://chat.invalid/T0/secret-path"}
    return NotifierSettings(
        notify=path,
        notify_secrets={**secrets, **more.pop("secrets", {})},
        mail_from="waggle@example.org",
        console_url="https://waggle.example.org",
        **more,
    )


@dataclass
class Notifying:
    """The parts of a running notifier."""

    broker: object
    parts: Parts
    teller: Teller
    consumer: KeyedConsumer


@asynccontextmanager
async def notifying(settings, sentinel, own: NotifierSettings, clock=None):
    """Runs until the block ends."""
    group = settings.topic_prefix + NOTIFIER
    await begin_at_end(settings, group, observed(settings.topic_prefix))
    broker, registry = bus.connect(settings, NOTIFIER, relist=0.5), CollectorRegistry()
    parts = Parts(NOTIFIER, settings, registry, Metrics(registry), None, broker, sentinel, None, None, (own,))
    notices = Notices(sentinel.own)
    watcher = Watcher(parts, read_notify(own.notify), notices, Console(own.console_url))
    more = {"clock": clock} if clock else {}
    outlets = outlets_of(own)
    teller = Teller(parts, outlets, notices, **more)

    async def ready():
        pass

    deliver = Deliverer(
        broker=broker,
        service=NOTIFIER,
        prefix=settings.topic_prefix,
        handle=teller.handle,
        on_dead=teller.on_dead,
        outages=(*bus.OUTAGES, *blackboard.OUTAGES),
        ready=ready,
        metrics=parts.metrics,
        table=table_of(NOTIFIER),
    )
    observer = Observer(deliver, frozenset({settings.topic_prefix + "notifications"}), watcher.watch)
    consumer = KeyedConsumer(broker, [], group, observer, settings, observed(settings.topic_prefix))
    await broker.start()
    consumer.start()
    await until(lambda: consumer.joined)
    try:
        yield Notifying(broker, parts, teller, consumer)
    finally:
        await consumer.stop(grace=5.0)
        await broker.stop()
        for each in outlets.values():
            await each.way.close()


async def until(condition, seconds=20.0):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def proposal(**changes) -> Proposal:
    about = {
        "call": "c1",
        "tool": "send_mail",
        "arguments": '{"to": ["ada@example.org"], "subject": "Orders"}',
        "digest": "d",
        "agent": "communication",
        "doing": "Write to Ada",
        "risk": Risk.HIGH,
        "effect": Effect.IRREVERSIBLE,
        "rule": "risk",
        "reason": "it leaves the house",
        "if_approved": "the mail is sent",
        "if_rejected": "the run is planned again",
        "confidence": 0.7,
        "expires": 3600.0,
        "usable": 600.0,
    }
    return Proposal(**{**about, **changes})


def asked(run="run-1", number=1, **changes) -> HelpRequested:
    now = datetime.now(UTC)
    about = {
        "run_id": run,
        "tenant": "default",
        "at": now,
        "by": "orchestrator",
        "request_id": f"{run}/q{number}",
        "about": "step",
        "step_id": "mail",
        "question": "May the mail be sent?",
        "options": ["approve", "reject"],
        "proposal": proposal(),
        "expires": now + timedelta(hours=1),
        "kind": Kind.CALL,
        "offers": [
            Offer(answer=Reply.APPROVE, effect="the mail is sent"),
            Offer(answer=Reply.REJECT, effect="the run is planned again"),
        ],
        "terms": Terms(stages=[Stage(groups=["sales"], needed=2)]),
    }
    return HelpRequested(**{**about, **changes})


def change(*events, number=1, prefix="", epoch=1):
    """The record of the run log with these events."""
    run, tenant = events[0].run_id, events[0].tenant
    logged = [LoggedEvent(type=each.wire_type(), data=each.model_dump(mode="json")) for each in events]
    changed = RunChanged(
        run_id=run, tenant=tenant, epoch=epoch, number=number, cause="c", at=datetime.now(UTC), events=logged
    )
    return encode(changed, id=f"{run}/{number}", source="/test", prefix=prefix, now=datetime.now(UTC), key=run)


async def happen(broker, settings, *events, number=1):
    """Write events to the run log."""
    await publish(broker, [change(*events, number=number, prefix=settings.topic_prefix)])


@dataclass
class Mailbox:
    """A mail server that keeps every mail, or refuses."""

    mails: list = field(default_factory=list)
    answer: str = "250 taken"
    port: int = 0

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - aiosmtpd looks for this name
        if self.answer.startswith("250"):
            self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        return self.answer


@pytest.fixture
async def mailbox():
    handler = Mailbox()
    listening = await asyncio.get_running_loop().create_server(lambda: SMTP(handler, hostname="box"), "127.0.0.1", 0)
    handler.port = listening.sockets[0].getsockname()[1]
    yield handler
    listening.close()


@dataclass
class Receiver:
    """An HTTP server on loopback that keeps every request: (path, headers, body)."""

    port: int = 0
    posts: list = field(default_factory=list)
    status: int = 200
    slow: float = 0.0
    headers: str = ""
    deaf: bool = False
    """True: it accepts connections and reads nothing."""
    connected: int = 0

    def url(self, path="/hook") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    @property
    def bodies(self) -> list:
        return [json.loads(body) for _, _, body in self.posts]

    async def answer(self, reader, writer):
        self.connected += 1
        if self.deaf:
            await asyncio.sleep(1)
            writer.transport.abort()
            return
        try:
            while line := await reader.readline():
                path, headers = line.decode().split(" ")[1], {}
                while head := (await reader.readline()).decode().strip():
                    name, _, value = head.partition(": ")
                    headers[name.lower()] = value
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.posts.append((path, headers, body))
                await asyncio.sleep(self.slow)
                writer.write(f"HTTP/1.1 {self.status} X\r\nContent-Length: 0\r\n{self.headers}\r\n".encode())
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def receiver():
    found = Receiver()
    server = await asyncio.start_server(found.answer, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    yield found
    server.close()
