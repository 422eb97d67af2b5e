"""Erasing forgotten runs from the blackboard: their keys, their places in lists, and their parts of shared keys."""

import re
from collections.abc import AsyncIterator, Callable, Collection

from schemas.run_id import RUN_ID
from shared.blackboard import keys
from shared.blackboard.connect import Client
from shared.blackboard.scripts import Scripts, script

_UNINDEX = script("unindex")

_AT_ONCE = 500
"""Keys asked for at a time."""

_PASSES = 5
"""Further passes at most, while any of them still finds something."""

BLOB = re.compile(r"blob:[0-9a-f]{64}")
"""Reference to a stored file."""


class Eraser:
    """Erases runs of one tenant. May be repeated: what is gone is passed over."""

    def __init__(self, redis: Client, scripts: Scripts, tenant: str) -> None:
        self._redis = redis
        self._scripts = scripts
        self._tenant = tenant

    async def erase(self, runs: Collection[str], *, session: Callable[[str], bool] = lambda _: False) -> int:
        """Erase everything of these runs, and the sessions whose names fit; return the number of keys and fields."""
        gone = found = await self._pass(runs, session)
        for _ in range(
            _PASSES
        ):  # a key that was written or moved while its table was scanned is found by the next pass
            if not found:
                break
            found = await self._pass(runs, session)
            gone += found
        for run in runs:
            await self._scripts.run(_UNINDEX, [keys.runs(self._tenant)], [run])
        return gone

    async def _pass(self, runs: Collection[str], session: Callable[[str], bool]) -> int:
        gone = 0
        for key in [each async for each in self._scan(f"waggle:{self._tenant}:*")]:
            gone += await self._erase_key(key, runs, session)
        for key in [each async for each in self._scan("waggle:digest:*")]:
            gone += await self._drop_fields(key, runs)
        return gone

    async def files(self, runs: Collection[str]) -> tuple[set[str], set[str]]:
        """Return the references to files in the values of these runs, and in those of all other runs of the tenant."""
        own, others = set[str](), set[str]()
        async for key in self._scan(f"waggle:{self._tenant}:*"):
            if named := RUN_ID.findall(key):
                text = await self._text(key)
                (own if named[0] in runs else others).update(BLOB.findall(text))
        return own, others

    async def _erase_key(self, key: str, runs: Collection[str], session: Callable[[str], bool]) -> int:
        part = key.removeprefix(f"waggle:{self._tenant}:")
        kind, _, name = part.partition(":")
        if any(each in runs for each in RUN_ID.findall(part)) or kind == "last-good":
            return int(await self._redis.delete(key))
        if kind in _OF_SESSIONS:
            if session(name):
                await self._redis.zrem(keys.sessions(self._tenant), name)
                return int(await self._redis.delete(key))
            drop = self._redis.zrem if kind == "session-order" else self._redis.hdel
            return int(await drop(key, *runs)) if runs else 0
        return await self._drop_fields(key, runs) if part == "claims" else 0

    async def _drop_fields(self, key: str, runs: Collection[str]) -> int:
        """Remove the fields of a hash whose values name one of these runs."""
        found = await self._redis.hgetall(key)
        named = [name for name, value in found.items() if any(each in runs for each in RUN_ID.findall(value))]
        return int(await self._redis.hdel(key, *named)) if named else 0

    async def _text(self, key: str) -> str:
        """Return all values of a key that may name files."""
        part = key.rpartition(":")[2]
        if part == "events":
            return "".join(str(fields) for _, fields in await self._redis.xrange(key))
        if part in ("state", "outbox", "board") or ":journal:" in key:
            return "".join((await self._redis.hgetall(key)).values())
        return ""

    async def _scan(self, pattern: str) -> AsyncIterator[str]:
        """Yield the keys that match, each once."""
        seen = set[str]()
        async for key in self._redis.scan_iter(match=pattern, count=_AT_ONCE):
            if key not in seen:
                seen.add(key)
                yield key


_OF_SESSIONS = ("session-turns", "session-order", "session-facts")
"""Keys of a session, whose fields or members are runs."""
