"""Webhooks: a signed CloudEvent, or the JSON of a Slack-compatible incoming webhook.

A request goes to the configured address only: no redirect is followed. Signatures are those of Standard Webhooks: HMAC
with SHA-256 over `<id>.<seconds since 1970>.<body>`, in base64.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import httpx

from shared.notify.failure import NotSent
from shared.notify.letter import Letter
from shared.resilience.retry_after import retry_after

WITHIN = 8.0
"""Seconds that a connection, or the wait for the next bytes, may take."""

LONGEST_WAIT = 3_600.0
"""Seconds that an answer may ask to wait, at most."""

LARGEST_ANSWER = 65_536
"""Bytes of an answer that are read: its content does not matter."""

LONGEST_SLACK = 30_000
"""Characters of a Slack message; it accepts 40,000."""

_ENCODED = "whsec_"
_NOT_ACCEPTED = frozenset(range(300, 500))


class _Poster:
    """Client of one address."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._http = httpx.AsyncClient(timeout=WITHIN, follow_redirects=False, headers={"User-Agent": "waggle"})

    async def post(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Post a body. Raises NotSent, which names neither address nor content."""
        try:
            async with self._http.stream("POST", self._url, content=body, headers=dict(headers)) as answer:
                status, after = answer.status_code, min(retry_after(answer.headers), LONGEST_WAIT)
                await _discard(answer)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as unreachable:
            raise NotSent(f"it cannot be reached: {type(unreachable).__name__}", code="unreachable") from None
        except httpx.HTTPError as broken:
            why = f"the connection broke before it answered: {type(broken).__name__}"
            raise NotSent(why, code="outcome_unknown", unknown=True) from None
        if not 200 <= status < 300:
            refused = status in _NOT_ACCEPTED
            raise NotSent(f"it answers {status}", code="refused", unknown=not refused, after=after)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()


async def _discard(answer: httpx.Response) -> None:
    read = 0
    async for chunk in answer.aiter_raw():
        read += len(chunk)
        if read > LARGEST_ANSWER:
            return


class WebhookWay:
    """CloudEvents 1.0 in structured mode, signed."""

    def __init__(self, url: str, secret: str) -> None:
        self._poster = _Poster(url)
        self._secret = _key(secret)

    async def send(self, letter: Letter) -> None:
        """Post the letter as a CloudEvent. Raises NotSent."""
        body = json.dumps(cloud_event(letter), ensure_ascii=False).encode()
        await self._poster.post(body, self._headers(letter.id, int(time.time()), body))

    async def close(self) -> None:
        """Close the connections."""
        await self._poster.close()

    def _headers(self, id: str, at: int, body: bytes) -> dict[str, str]:
        return {
            "Content-Type": "application/cloudevents+json; charset=utf-8",
            "Idempotency-Key": id,
            "webhook-id": id,
            "webhook-timestamp": str(at),
            "webhook-signature": signature(self._secret, id, at, body),
        }


def cloud_event(letter: Letter) -> dict[str, Any]:
    """Return a letter as a CloudEvent."""
    about = letter.about
    return {
        "specversion": "1.0",
        "id": letter.id,
        "source": "waggle/notifier",
        "type": letter.type,
        "time": about.at.isoformat(),
        **({"subject": about.run_id} if about.run_id else {}),
        "datacontenttype": "application/json",
        "data": letter.data,
    }


def signature(secret: bytes, id: str, at: int, body: bytes) -> str:
    """Return the signature of a request: `v1,` and the HMAC in base64."""
    digest = hmac.digest(secret, f"{id}.{at}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode()}"


def _key(secret: str) -> bytes:
    """Return the bytes of a secret: as written, or decoded if it has the form of Standard Webhooks."""
    if secret.startswith(_ENCODED):
        with suppress(binascii.Error):
            return base64.b64decode(secret.removeprefix(_ENCODED), validate=True)
    return secret.encode()


class SlackWay:
    """A Slack-compatible incoming webhook: plain text and the link to the console."""

    def __init__(self, url: str) -> None:
        self._poster = _Poster(url)

    async def send(self, letter: Letter) -> None:
        """Post the letter. Raises NotSent."""
        body = json.dumps(slack_message(letter), ensure_ascii=False).encode()
        await self._poster.post(body, {"Content-Type": "application/json", "Idempotency-Key": letter.id})

    async def close(self) -> None:
        """Close the connections."""
        await self._poster.close()


def slack_message(letter: Letter) -> dict[str, Any]:
    """Return a letter as Slack's JSON. Nothing in it but our own link is a mention, a link or a format."""
    text = f"*{inert(letter.subject)}*\n{inert(letter.text)}"
    text = text if len(text) <= LONGEST_SLACK else f"{text[:LONGEST_SLACK]}…"
    if letter.link is not None:
        text += f"\n<{_escaped(letter.link).replace('|', '%7C')}|Open in the console>"
    return {"text": text, "parse": "none", "link_names": False, "unfurl_links": False, "unfurl_media": False}


_BREAK = "\u200b"
"""Invisible: parts a word, so that no client finds a mention or an address in it."""

_ACTIVE = re.compile(r"@|:(?=//)|\](?=\()|\bwww(?=\.)|\b(?:mailto|tel|xmpp)(?=:)|[*_~`]", re.IGNORECASE)


def inert(text: str) -> str:
    """Return text that a Slack-compatible client shows as it is: no mention, no link, no emphasis."""
    return _ACTIVE.sub(lambda found: f"{_BREAK}{found[0]}{_BREAK}", _escaped(text))


def _escaped(text: str) -> str:
    """Escape the three characters that Slack reserves, as its documentation requires."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
