"""Check the file of notifications: its channels have their secrets, and their servers can be reached."""

import asyncio
from collections.abc import Mapping
from urllib.parse import urlsplit

from services.cli.checks.check_result import CheckResult, fail, ok, warn
from shared.config import settings_of
from shared.errors import Misconfigured
from shared.notify import NotifySettings, read_notify, way_of
from shared.notify.policy import NotifyPolicy

_WITHIN = 5.0
"""Seconds a server may take to accept a connection."""

_CORRECT = "correct the file or its secrets; docs/notifications.md describes them"


async def check_notifications(environment: Mapping[str, str]) -> list[CheckResult]:
    """Return one result per channel. Nothing is sent: `waggle notify test` does that."""
    settings = settings_of(environment, NotifySettings)
    try:
        policy = read_notify(settings.notify)
    except Misconfigured as wrong:
        return [fail("notifications", str(wrong), _CORRECT)]
    if not policy.subscriptions:
        do = "name a file in WAGGLE_NOTIFY; until then, look into the inbox of the console"
        return [warn("notifications", "no one is notified of questions that wait", do)] if settings.notify else []
    return list(await asyncio.gather(*(_channel(name, policy, settings) for name in policy.channels)))


async def _channel(name: str, policy: NotifyPolicy, settings: NotifySettings) -> CheckResult:
    channel, subject = policy.channels[name], f"channel {name}"
    used = sum(name in each.channels for each in policy.subscriptions)
    try:
        way = way_of(name, channel, settings)
    except Misconfigured as wrong:
        return fail(subject, str(wrong), _CORRECT)
    await way.close()
    if channel.url is not None and (why := await _unreachable(channel.url)):
        host = urlsplit(channel.url).hostname
        return fail(subject, f"{host} cannot be reached: {why}", "correct its url, or the network's rules")
    if not used:
        return warn(subject, "no subscription uses it", "add it to the channels of a subscription, or remove it")
    return ok(subject, f"{channel.kind}, used by {used} subscription{'s' if used > 1 else ''}")


async def _unreachable(url: str) -> str | None:
    """Return why the server accepts no connection; None if it does."""
    parts = urlsplit(url)
    try:
        async with asyncio.timeout(_WITHIN):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port or _PORTS[parts.scheme])
    except (OSError, TimeoutError) as outage:
        return type(outage).__name__
    writer.close()
    return None


_PORTS = {"http": 80, "https": 443}
