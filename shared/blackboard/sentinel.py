"""Whether the blackboard is whole: the sentinel key says which rebuild it stems from, and on which Redis.

A Redis that was emptied has no sentinel. One that was started again, perhaps from an old backup or without its last
second, has another run id than the sentinel names. In both cases no service reads or writes until the blackboard was
verified against the logs, or rebuilt from them: every script checks the sentinel in the same step as it writes, every
new connection checks the server's run id before its first command.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, NoReturn

import structlog
from redis.asyncio import Redis
from redis.exceptions import ConnectionError  # noqa: A004 -- Redis's own: its client drops the connection

from shared.blackboard import keys
from shared.blackboard.connect import CONNECTION_OUTAGES, Client
from shared.blackboard.pool import working_client
from shared.blackboard.scripts import Scripts
from shared.errors import BlackboardLost


def epoch_of(generation: str) -> int:
    """How many times the blackboard was made."""
    return int(generation.partition(":")[0] or 0)


LOOK_EVERY = 0.25
"""Seconds between looks: how long a loss can go unnoticed by a service that is idle."""

_RENEW = """
if ARGV[2] ~= '' and redis.call('GET', KEYS[2]) ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[1], ARGV[1])
return 1
"""

log = structlog.get_logger()


class Sentinel:
    """What this process knows of the blackboard's generation.

    `client` is what everybody works with; `own` asks no questions, for whoever looks or rebuilds. `tls` is what both
    take beside a `rediss:` URL.
    """

    def __init__(self, url: str, tls: Mapping[str, Any] | None = None) -> None:
        given: dict[str, Any] = {"decode_responses": True, "socket_connect_timeout": 5, **(tls or {})}
        self._url, self._given = url, given
        self.client: Client = working_client(url, redis_connect_func=self._met, socket_timeout=30, **given)
        self.scripts = Scripts(self.client)
        self.own: Client = Redis.from_url(url, socket_timeout=5, **given)
        self._whole = asyncio.Event()
        self.generation = ""
        """`<epoch>:<run id of the server>`; empty until it was first seen."""
        self.reachable = False
        """Whether Redis answered when it was last asked."""
        self.checkpoint = ""
        """Token of the checkpoint that Redis had then; empty: none."""

    @property
    def is_whole(self) -> bool:
        """Whether it can be worked with, as far as is known."""
        return self._whole.is_set()

    def apart(self) -> Client:
        """Return a client with a connection of its own, for what waits long; whoever asks for it closes it."""
        return Redis.from_url(
            self._url, redis_connect_func=self._met, socket_timeout=30, max_connections=1, **self._given
        )

    async def whole(self) -> None:
        """Return when it can be worked with."""
        await self._whole.wait()

    async def agree(self, value: str | None) -> None:
        """Compare the sentinel that was just read with what is known; of a rebuild nobody has told of, learn now.

        Raises BlackboardLost.
        """
        if value != self.generation and await self.look() and value == self.generation:
            return
        if not value or value != self.generation:
            self.doubt()

    def doubt(self) -> NoReturn:
        """Something shows that the blackboard is not the one that was known. Raises BlackboardLost."""
        self._close("the blackboard was lost or replaced; work waits until it is rebuilt")
        raise BlackboardLost("the blackboard is not whole")

    async def look(self) -> bool:
        """Ask Redis now; whether the blackboard is whole."""
        self.reachable = False
        try:
            async with self.own.pipeline(transaction=False) as pipe:
                pipe.get(keys.SENTINEL)
                pipe.hget(keys.CHECKPOINT, "token")
                pipe.info("server")
                value, token, about = await pipe.execute()
        except CONNECTION_OUTAGES as away:
            self._close(f"Redis is away: {away}")
            return False
        self.reachable, self.checkpoint = True, token or ""
        if value is None or not value.endswith(f":{about['run_id']}"):
            self._close("the blackboard was lost or replaced; work waits until it is rebuilt")
            return False
        self.generation = value
        self._open()
        return True

    async def watch(self) -> None:
        """Look for ever."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_EVERY)

    async def renew(self, epoch: int, *, owner: str = "") -> bool:
        """Declare the blackboard whole: it was rebuilt. Later writes of earlier generations are refused.

        `owner`: only if it still has the lock of rebuilding, in one step; False if not.
        """
        server = (await self.own.info("server"))["run_id"]
        renewed = await self.own.eval(_RENEW, 2, keys.SENTINEL, keys.REBUILDING, f"{epoch}:{server}", owner)
        return await self.look() and bool(renewed)

    async def remove(self) -> None:
        """Declare it lost, and its checkpoint void, so that everybody stops until it is rebuilt."""
        await self.own.delete(keys.SENTINEL, keys.CHECKPOINT)

    async def close(self) -> None:
        """Give the connections back."""
        await self.client.aclose()
        await self.own.aclose()

    async def _met(self, connection: Any) -> None:
        """A new connection: let it talk only to the server that is known."""
        await connection.on_connect()
        if not self.generation:
            return
        await connection.send_command("INFO", "server")
        if f"run_id:{self.generation.partition(':')[2]}" not in str(await connection.read_response()):
            self._close("Redis was started again; work waits until the blackboard is rebuilt")
            raise ConnectionError("this is another Redis than before")

    def _open(self) -> None:
        if not self._whole.is_set():
            log.info("the blackboard is whole", generation=self.generation)
        self._whole.set()

    def _close(self, why: str) -> None:
        if self._whole.is_set():
            log.warning(why)
        self._whole.clear()
