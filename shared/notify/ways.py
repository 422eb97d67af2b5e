"""Ways by which a letter leaves: one for each kind of channel. They send once, and raise NotSent."""

import asyncio
from typing import Protocol

from shared.errors import Misconfigured
from shared.notify.failure import NotSent
from shared.notify.letter import Letter
from shared.notify.mail import MailWay
from shared.notify.policy import Channel, check_scheme, secret_of
from shared.notify.settings import NotifySettings
from shared.notify.web import SlackWay, WebhookWay
from shared.tools import ToolError
from shared.tools.smtp import server

__all__ = ["NotSent", "Way", "send", "way_of"]


WITHIN = 8.0
"""Seconds that sending a letter may take; shorter than the claim of the process that sends it."""


class Way(Protocol):
    """A way to some people."""

    async def send(self, letter: Letter) -> None:
        """Return when the receiver has accepted the letter. Raises NotSent."""
        ...

    async def close(self) -> None:
        """Close connections."""
        ...


def way_of(name: str, channel: Channel, settings: NotifySettings) -> Way:
    """Return the way of a channel. Raises Misconfigured for a missing secret, address or mail server."""
    if channel.kind == "mail":
        try:
            return MailWay(channel.sender or settings.mail_from, tuple(channel.to), server(settings.smtp))
        except ToolError as wrong:
            raise Misconfigured(f"WAGGLE_NOTIFY: channels.{name}: {wrong}") from None
    url = channel.url or secret_of(channel, channel.url_secret, settings.notify_secrets, name)
    try:
        check_scheme(url, plain=channel.plain)
    except ValueError as wrong:
        raise Misconfigured(f"WAGGLE_NOTIFY: channels.{name}: {wrong}") from None
    if channel.kind == "slack":
        return SlackWay(url)
    return WebhookWay(url, secret_of(channel, channel.secret, settings.notify_secrets, name))


async def send(way: Way, letter: Letter) -> None:
    """Send a letter within a bounded time. Raises NotSent."""
    try:
        async with asyncio.timeout(WITHIN):
            await way.send(letter)
    except TimeoutError:
        raise NotSent(f"it did not answer within {WITHIN:g} s", code="timeout", unknown=True) from None
