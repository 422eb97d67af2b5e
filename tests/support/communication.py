"""Shared steps of tests: communication."""

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from aiosmtpd.smtp import SMTP

from schemas.task import Artefact
from services.communication.settings import CommunicationSettings
from shared.tools import ToolContext, ToolError

MAIL = {"to": ["ada@example.org"], "subject": "Numbers", "body": "# Numbers\n\nUp by **3 %**."}


class Files:
    """A workspace that is a folder."""

    def __init__(self, folder):
        self.folder = folder
        self.kinds = {}

    def files(self):
        paths = sorted(self.folder.iterdir())
        return [
            Artefact(name=p.name, media_type=self.kinds.get(p.name, "text/plain"), size=p.stat().st_size, uri="blob:0")
            for p in paths
        ]

    async def path(self, name):
        if name not in [file.name for file in self.files()]:
            raise ToolError("unknown_file", f"no {name}")
        return self.folder / name

    async def save(self, name, content, media_type):
        (self.folder / name).write_bytes(content)
        self.kinds[name] = media_type
        return Artefact(name=name, media_type=media_type, size=len(content), uri="blob:0")


class Post:
    """Behaviour of a mail server: keeps every mail, and answers as configured."""

    def __init__(self):
        self.mails = []
        self.answers = {}
        self.silent = False

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802 - aiosmtpd looks for this name
        answer = self.answers.get(address, "250 OK")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - as above
        if self.silent:
            server.transport.abort()
        self.mails.append(envelope)
        return self.answers.get("DATA", "250 taken")


@pytest.fixture
async def post():
    handler = Post()
    listening = await asyncio.get_running_loop().create_server(lambda: SMTP(handler, hostname="post"), "127.0.0.1", 0)
    handler.port = listening.sockets[0].getsockname()[1]
    yield handler
    listening.close()
    await listening.wait_closed()


def calling(folder, **configured):
    return ToolContext(
        run_id="r", step_id="s", call_id="c", idempotency_key="run:step:call", epoch=1, tenant="t",
        workspace=Files(folder), settings=CommunicationSettings(mail_from="Waggle <swarm@example.org>", **configured),
    )  # fmt: skip


@pytest.fixture
def call(tmp_path, post):
    return calling(tmp_path, smtp=f"smtp://127.0.0.1:{post.port}")


async def refused(tool, arguments, call):
    with pytest.raises(ToolError) as raised:
        await tool.invoke(arguments, call)
    return raised.value


@pytest.fixture
def hook():
    class Answer(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.server.posts.append((self.path, dict(self.headers), json.loads(body)))
            self.send_response(int(self.path.rpartition("/")[2]))
            self.send_header("Location", "/200")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments):
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    listening.posts = []
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield listening
    listening.shutdown()
    listening.server_close()
    thread.join()


def address(hook):
    return f"127.0.0.1:{hook.server_port}"
