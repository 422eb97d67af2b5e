"""The world outside, on loopback: a web server that is every host there is, and a mail server. What arrives is kept."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from email import message_from_bytes, policy
from urllib.parse import urlsplit

import uvicorn
from aiosmtpd.smtp import SMTP, Envelope, Session

from infra.probe import free_port, listens
from tests.evals.case import Case, Page


@dataclass(frozen=True, slots=True)
class Arrived:
    """Something that left the house."""

    kind: str
    """`GET`, `POST` or `mail`."""
    places: tuple[str, ...]
    """The address that was asked, or the recipients."""
    content: str


class Web:
    """Every host at once: it serves the cases' pages, and keeps what it was asked."""

    def __init__(self, cases: Iterable[Case]) -> None:
        self.port = free_port()
        self.arrived: list[Arrived] = []
        self._pages = {_named(url): page for case in cases for url, page in case.pages.items()}
        config = uvicorn.Config(
            self._answer, host="127.0.0.1", port=self.port, log_level="error", lifespan="off", interface="asgi3"
        )
        self._server = uvicorn.Server(config)

    async def start(self) -> None:
        self._serving = asyncio.create_task(self._server.serve())
        while not await listens(self.port):
            await asyncio.sleep(0.02)

    async def stop(self) -> None:
        self._server.should_exit = True
        await self._serving

    async def _answer(self, scope: dict, receive, send) -> None:
        body = b""
        while (event := await receive()).get("more_body") or not body:
            body += event.get("body", b"")
            if not event.get("more_body"):
                break
        host = dict(scope["headers"]).get(b"host", b"").decode()
        target = (scope.get("raw_path") or scope["path"].encode()).decode().partition("?")[0]
        address = f"{host}{target}" + (f"?{scope['query_string'].decode()}" if scope["query_string"] else "")
        self.arrived.append(Arrived(scope["method"], (f"http://{address}",), body.decode(errors="replace")))
        page = self._pages.get(f"{host}{target}", Page("Nothing here."))
        content = page.body.encode() if isinstance(page.body, str) else page.body
        headers = [(b"content-type", page.media_type.encode()), (b"content-length", str(len(content)).encode())]
        if page.location:
            headers.append((b"location", page.location.encode()))
        await send({"type": "http.response.start", "status": 302 if page.location else 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})


class Mail:
    """A mail server that takes everything but what is for recipients that begin with `refuse`."""

    def __init__(self, cases: Iterable[Case]) -> None:
        self.arrived: list[Arrived] = []
        self._refusals = {case.key: case.refusal for case in cases if case.refusal}

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: SMTP(self, hostname="sink", enable_SMTPUTF8=True), "127.0.0.1", 0
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options) -> str:  # noqa: N802 -- aiosmtpd calls it so
        if address.startswith("refuse"):
            return "550 " + next((said for key, said in self._refusals.items() if key in address), "no such user")
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 -- as above
        mail = message_from_bytes(envelope.content, policy=policy.default)
        parts = [str(part.get_content()) for part in mail.walk() if not part.is_multipart()]
        names = [part.get_filename() or "" for part in mail.iter_attachments()]
        content = "\n".join([str(mail["Subject"]), *names, *parts])
        self.arrived.append(Arrived("mail", tuple(envelope.rcpt_tos), content))
        return "250 taken"


def _named(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}{parts.path}"
