"""Detects a lost blackboard: the sentinel key names the rebuild that made it and the Redis process that holds it.

An emptied Redis has no sentinel. A restarted Redis, perhaps from an old backup or without its last second, has another
run id than the sentinel names. In both cases no service reads or writes until the blackboard is verified against the
logs, or rebuilt from them: every script checks the sentinel in the same step as it writes, and every new connection
checks the server's run id before its first command.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NoReturn

import structlog
from redis.asyncio import Redis
from redis.exceptions import ConnectionError  # noqa: A004 -- Redis's own: its client drops the connection

from shared.blackboard import keys
from shared.blackboard.cancellable import cancellable
from shared.blackboard.connect import CONNECTION_OUTAGES, Client
from shared.blackboard.pool import working_client
from shared.blackboard.scripts import Scripts
from shared.errors import BlackboardLost


def epoch_of(generation: str) -> int:
    """Return the number of times the blackboard was built."""
    return int(generation.partition(":")[0] or 0)


REFRESH_EVERY = 1.0
"""Seconds between checks while all is well: an idle service notices a loss after at most this long, work at once."""

RECHECK_EVERY = 0.25
"""Seconds between checks while the blackboard is lost or unavailable."""

_RENEW = """
if ARGV[2] ~= '' and redis.call('GET', KEYS[2]) ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[1], ARGV[1])
return 1
"""

log = structlog.get_logger()


class Sentinel:
    """View that one process has of the blackboard's generation.

    `client` verifies every connection and is for work; `own` does not, for checks and rebuilds. `tls` holds
    the TLS arguments of both for a `rediss:` URL.
    """

    def __init__(self, url: str, tls: Mapping[str, Any] | None = None) -> None:
        given: dict[str, Any] = {"decode_responses": True, "socket_connect_timeout": 5, **(tls or {})}
        self._url, self._given = url, given
        self.client: Client = working_client(url, redis_connect_func=self._verify_server, socket_timeout=30, **given)
        self.scripts = Scripts(self.client)
        self.own: Client = cancellable(Redis.from_url(url, socket_timeout=5, **given))
        self._ready = asyncio.Event()
        self._lost = asyncio.Event()
        self.generation = ""
        """`<epoch>:<run id of the server>`; empty until first read."""
        self.reachable = False
        """True if Redis answered the last check."""
        self.checkpoint = ""
        """Token of the checkpoint at the last check; empty if there was none."""

    @property
    def is_ready(self) -> bool:
        """True if the blackboard was usable at the last check."""
        return self._ready.is_set()

    def dedicated_client(self) -> Client:
        """Return a client with a connection of its own, for blocking commands; the caller closes it."""
        verified: dict[str, Any] = {"redis_connect_func": self._verify_server, "socket_timeout": 30}
        return cancellable(Redis.from_url(self._url, max_connections=1, **verified, **self._given))

    async def wait_ready(self) -> None:
        """Wait until the blackboard is usable."""
        await self._ready.wait()

    async def verify(self, value: str | None) -> None:
        """Compare a sentinel just read with the known generation; refresh if a rebuild happened meanwhile.

        Raises BlackboardLost if they still differ.
        """
        if value != self.generation and await self.refresh() and value == self.generation:
            return
        if not value or value != self.generation:
            self.mark_lost()

    def mark_lost(self) -> NoReturn:
        """Stop work until the blackboard is rebuilt: it is not the known one. Raises BlackboardLost."""
        self._close("blackboard_lost")
        raise BlackboardLost("the blackboard was lost or replaced and is not rebuilt yet")

    async def refresh(self) -> bool:
        """Read generation and checkpoint from Redis; return True if the blackboard is usable."""
        self.reachable = False
        try:
            async with self.own.pipeline(transaction=False) as pipe:
                pipe.get(keys.SENTINEL)
                pipe.hget(keys.CHECKPOINT, "token")
                pipe.info("server")
                value, token, about = await pipe.execute()
        except CONNECTION_OUTAGES as outage:
            self._close("redis_unavailable", error=str(outage))
            return False
        self.reachable, self.checkpoint = True, token or ""
        if value is None or not value.endswith(f":{about['run_id']}"):
            self._close("blackboard_lost")
            return False
        self.generation = value
        self._open()
        return True

    async def watch(self) -> None:
        """Refresh regularly and as soon as a loss is noticed, without end."""
        while True:
            well = await self.refresh()
            self._lost.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(REFRESH_EVERY if well else RECHECK_EVERY):
                    await self._lost.wait()

    async def renew(self, epoch: int, *, owner: str = "") -> bool:
        """Declare the blackboard rebuilt, with this epoch. Later writes of earlier generations are refused.

        `owner`: in the same step, require that it still holds the rebuild lock; return False if it does not.
        """
        server = (await self.own.info("server"))["run_id"]
        renewed = await self.own.eval(_RENEW, 2, keys.SENTINEL, keys.REBUILDING, f"{epoch}:{server}", owner)
        return await self.refresh() and bool(renewed)

    async def remove(self) -> None:
        """Declare the blackboard lost and its checkpoint void, so that all services stop until it is rebuilt."""
        await self.own.delete(keys.SENTINEL, keys.CHECKPOINT)

    async def close(self) -> None:
        """Close the connections."""
        await self.client.aclose()
        await self.own.aclose()

    async def _verify_server(self, connection: Any) -> None:
        """Refuse a new connection to any server process but the known one."""
        await connection.on_connect()
        if not self.generation:
            return
        await connection.send_command("INFO", "server")
        if f"run_id:{self.generation.partition(':')[2]}" not in str(await connection.read_response()):
            self._close("redis_restarted")
            raise ConnectionError("Redis was restarted; its blackboard is not verified yet")

    def _open(self) -> None:
        if not self._ready.is_set():
            log.info("blackboard_ready", generation=self.generation)
        self._ready.set()

    def _close(self, event: str, **fields: str) -> None:
        if self._ready.is_set():
            log.warning(event, generation=self.generation, **fields)
            self._lost.set()
        self._ready.clear()
