"""The last good result of a call, kept for when there is no other: of one tenant, one tool, one set of arguments."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from shared.blackboard import keys
from shared.blackboard.scripts import Scripts, script

_KEEP, _FIND = script("keep", Path(__file__).parent), script("find", Path(__file__).parent)

LARGEST = 262_144
"""Bytes of a result that is kept."""

KEPT = 2.0
"""Times as long as it may stand in: for the rest it is known that there was one, and that it is too old."""


class Remembered(NamedTuple):
    """An earlier result; `age` in seconds, by Redis's clock."""

    result: Any
    age: float


class LastGood:
    """Results on the blackboard. Raises one of `shared.blackboard.OUTAGES` while Redis is away."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    async def keep(self, tenant: str, tool: str, arguments: Mapping[str, Any], result: Any, *, seconds: float) -> None:
        """Keep a result that may stand in for so many seconds; one that is too large is not kept."""
        kept = json.dumps(result, ensure_ascii=False, separators=(",", ":"))
        if len(kept.encode(errors="replace")) <= LARGEST:
            await self._scripts.run(_KEEP, [_key(tenant, tool, arguments)], [kept, int(KEPT * seconds * 1000)])

    async def find(self, tenant: str, tool: str, arguments: Mapping[str, Any]) -> Remembered | None:
        """The result of the same call, if there is one."""
        found = await self._scripts.run(_FIND, [_key(tenant, tool, arguments)], [])
        return Remembered(json.loads(found[0]), float(found[1])) if found else None


def _key(tenant: str, tool: str, arguments: Mapping[str, Any]) -> str:
    said = json.dumps(arguments, ensure_ascii=True, sort_keys=True)
    return keys.last_good(tenant, tool, hashlib.sha256(said.encode()).hexdigest())
