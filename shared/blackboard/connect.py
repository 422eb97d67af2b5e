"""The only module that connects to Redis."""

import asyncio
import socket
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ConnectionError,  # noqa: A004 -- Redis's own
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    TimeoutError,  # noqa: A004 -- as above
)

from shared.blackboard import keys
from shared.config import Settings, tls_context
from shared.errors import BlackboardLost, Misconfigured
from shared.system.refusals import tls_refusal
from shared.system.urls import without_password


class TakesNoWrites(ConnectionError):
    """Redis answers but refuses writes: its memory or its disk is full, or it is a replica."""


REFUSALS = ("OOM ", "MISCONF ", "READONLY ", "NOREPLICAS ", "MASTERDOWN ", "LOADING ")
"""Prefixes of such Redis errors. Inside a script they have no error type of their own, only text."""

CONNECTION_OUTAGES: tuple[type[Exception], ...] = (
    ConnectionError,
    TimeoutError,
    BusyLoadingError,
    ReadOnlyError,
    OutOfMemoryError,
)
"""Redis is unavailable, not ready, or refuses writes: the same call may succeed later."""

OUTAGES: tuple[type[Exception], ...] = (*CONNECTION_OUTAGES, BlackboardLost)
"""Redis is unavailable, or its contents must be verified or rebuilt first."""

Client = Any
"""A connected `redis.asyncio.Redis`. Its stubs mix bytes and str, so answers are typed where they are read."""


def tls(settings: Settings) -> Mapping[str, Any]:
    """Return the TLS arguments of a `rediss:` client; the server's name and chain are always verified."""
    files = {
        "ssl_ca_certs": settings.redis_ca,
        "ssl_certfile": settings.redis_certificate,
        "ssl_keyfile": settings.redis_key,
    }
    return {name: str(path) for name, path in files.items() if path}


async def check_redis(settings: Settings) -> None:
    """Raise Misconfigured if Redis refuses the user, a command or TLS; return normally if it is unavailable."""
    seconds: dict[str, Any] = {"socket_connect_timeout": 3, "socket_timeout": 3}
    client: Client = Redis.from_url(settings.redis, **tls(settings), **seconds)
    try:
        await client.info("server")
        await client.get(keys.SENTINEL)
        await client.eval("return 1", 0)
    except (NoPermissionError, ConnectionError, TimeoutError) as error:
        server = f"Redis at {without_password(settings.redis)}"
        refused = _refusal(error, server) or await asyncio.to_thread(_refusal_read, settings, server)
        if refused:
            raise Misconfigured(refused) from None
    finally:
        await client.aclose()


def _refusal_read(settings: Settings, server: str) -> str | None:
    """Return why the server closed the connection, read on a new one: writes may have hidden its TLS alert."""
    address = urlsplit(settings.redis)
    if address.scheme != "rediss":
        return None
    context = tls_context(settings.redis_ca, settings.redis_certificate, settings.redis_key)
    place = (address.hostname or "localhost", address.port or 6379)
    try:
        with socket.create_connection(place, 3) as plain, context.wrap_socket(plain, server_hostname=place[0]) as heard:
            heard.recv(1)
    except OSError as error:
        return tls_refusal(error, server, "WAGGLE_REDIS")
    return None


def _refusal(error: Exception, server: str) -> str | None:
    """Return the message for an error that waiting does not fix; None for any other."""
    match error:
        case AuthenticationError():
            return f"{server} refuses the user or the password in WAGGLE_REDIS ({error})"
        case NoPermissionError():
            return f"{server} denies the user in WAGGLE_REDIS a command that services need ({error}): widen its ACL"
    return tls_refusal(error, server, "WAGGLE_REDIS")
