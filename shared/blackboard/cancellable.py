"""Connections to Redis on which a cancelled command is always cancelled.

The client sends through `asyncio.wait_for`, which before Python 3.12 drops a cancellation that arrives in the moment
in which the sending ends (CPython issue 86296). Work that is stopped, or late, would continue.
"""

import asyncio
from typing import Any

from redis.asyncio import Connection, Redis
from redis.asyncio.connection import AbstractConnection, SSLConnection, UnixDomainSocketConnection


class _Cancellable(AbstractConnection):
    """Raises the cancellation that was dropped while a command was sent."""

    async def send_packed_command(self, *given: Any, **more: Any) -> None:
        """Send a command. Raises CancelledError whenever the task was cancelled meanwhile."""
        task = asyncio.current_task()
        before = task.cancelling() if task else 0
        await super().send_packed_command(*given, **more)
        if task and task.cancelling() > before:
            await self.disconnect(nowait=True)
            raise asyncio.CancelledError


class _Plain(_Cancellable, Connection):
    pass


class _Secure(_Cancellable, SSLConnection):
    pass


class _Local(_Cancellable, UnixDomainSocketConnection):
    pass


_KINDS: dict[type, type] = {Connection: _Plain, SSLConnection: _Secure, UnixDomainSocketConnection: _Local}


def cancellable(client: Redis) -> Any:
    """Return the client, which has not connected yet, with such connections."""
    pool = client.connection_pool
    pool.connection_class = _KINDS[pool.connection_class]
    return client
