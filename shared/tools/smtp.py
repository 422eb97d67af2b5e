"""SMTP: the server of the settings, and handing a mail to it."""

import asyncio
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import parseaddr
from urllib.parse import unquote, urlsplit

import aiosmtplib

from shared.system.urls import is_loopback
from shared.tools import ToolError

SECONDS_TO_CONNECT = 10.0
SECONDS_TO_SEND = 40.0
_UNSENT = "say that no mail could be sent and why"
_LATER = f"call it again later in this step, or {_UNSENT}"
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""Characters that would end or break a header."""


@dataclass(frozen=True, slots=True)
class Server:
    """SMTP server for outgoing mail."""

    host: str
    port: int
    tls: bool
    user: str | None
    password: str | None

    @property
    def start_tls(self) -> bool | None:
        """True: TLS is required, because a password crosses a network. None: TLS if the server offers it."""
        if self.tls:
            return False
        return True if self.user and not is_loopback(self.host) else None


def server(url: str | None) -> Server:
    """Read an `smtp:` or `smtps:` URL. Raises ToolError `not_configured`, without revealing the password."""
    if url is None:
        raise not_configured("no mail server is configured: WAGGLE_SMTP is not set")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.scheme not in ("smtp", "smtps"):
        raise not_configured("WAGGLE_SMTP is not of the form smtp://[user:password@]host:port")
    tls = parts.scheme == "smtps"
    user, password = (unquote(part) if part else None for part in (parts.username, parts.password))
    return Server(host, port or (465 if tls else 587 if user else 25), tls, user, password)


def message_id(key: str, domain: str) -> str:
    """Return the Message-ID for an idempotency key."""
    return f"<{hashlib.sha256(key.encode()).hexdigest()[:40]}@{domain}>"


async def deliver(mail: EmailMessage, recipients: Sequence[str], server: Server) -> list[str]:
    """Hand the mail to the server; return the recipients it refused while it accepted the others.

    Raises ToolError: `unreachable` and temporary `smtp_refused` (both retryable), permanent `smtp_refused`, and
    `outcome_unknown` when the connection broke before the server acknowledged the mail.
    """
    client = aiosmtplib.SMTP(
        hostname=server.host,
        port=server.port,
        username=server.user,
        password=server.password,
        use_tls=server.tls,
        start_tls=server.start_tls,
        timeout=SECONDS_TO_CONNECT,
    )
    await _connect(client, server)
    try:
        return await _send(client, mail, recipients)
    finally:
        client.close()


async def _connect(client: aiosmtplib.SMTP, server: Server) -> None:
    try:
        async with asyncio.timeout(SECONDS_TO_CONNECT):
            await client.connect()
    except aiosmtplib.SMTPResponseException as refusal:
        client.close()
        raise _refused(refusal.code, refusal.message) from refusal
    except (aiosmtplib.SMTPConnectError, aiosmtplib.SMTPServerDisconnected, OSError) as broken:
        client.close()
        why = f"the mail server {server.host}:{server.port} cannot be reached"
        raise ToolError("unreachable", why, retryable=True, suggested_action=_LATER) from broken
    except aiosmtplib.SMTPException as unfit:
        client.close()
        why = f"the mail server cannot be used: {unfit.message}"
        raise ToolError("smtp_refused", why, suggested_action=_UNSENT) from unfit


async def _send(client: aiosmtplib.SMTP, mail: EmailMessage, recipients: Sequence[str]) -> list[str]:
    sender = parseaddr(str(mail["From"]))[1]
    try:
        async with asyncio.timeout(SECONDS_TO_SEND):
            refused, _ = await client.send_message(
                mail, sender=sender, recipients=list(recipients), timeout=SECONDS_TO_SEND
            )
    except aiosmtplib.SMTPRecipientsRefused as all_refused:
        worst = max(all_refused.recipients, key=lambda refusal: refusal.code)
        raise _refused(worst.code, worst.message) from all_refused
    except aiosmtplib.SMTPResponseException as refusal:
        raise _refused(refusal.code, refusal.message) from refusal
    except (aiosmtplib.SMTPServerDisconnected, aiosmtplib.SMTPTimeoutError, OSError) as broken:
        raise ToolError(
            "outcome_unknown",
            "the connection broke before the mail server answered; the mail may have been sent",
            suggested_action="do not send it again; say that the outcome is unknown",
        ) from broken
    return list(refused)


def _refused(code: int, message: str) -> ToolError:
    passing = 400 <= code < 500
    return ToolError(
        "smtp_refused",
        f"the mail server refused with {code}: {CONTROL.sub(' ', message)[:300]}",
        retryable=passing,
        suggested_action=_LATER if passing else f"correct the recipients if that is why, or {_UNSENT}",
    )


def not_configured(why: str) -> ToolError:
    """Return the error of a missing or wrong setting."""
    return ToolError("not_configured", why, suggested_action=_UNSENT)
