"""Cache of the last good result per tenant, tool and arguments, used while a dependency fails."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from shared.blackboard import keys
from shared.blackboard.scripts import Scripts, script

_KEEP, _FIND = script("keep", Path(__file__).parent), script("find", Path(__file__).parent)

LARGEST = 262_144
"""Bytes of the largest result that is cached."""

KEPT = 2.0
"""Multiple of the allowed age for which a result is kept, so that one that is too old can be reported as such."""


class Remembered(NamedTuple):
    """A cached result; `age` in seconds, by Redis's clock."""

    result: Any
    age: float


class LastGood:
    """Results on the blackboard. Raises one of `shared.blackboard.OUTAGES` while Redis is unavailable."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    async def keep(self, tenant: str, tool: str, arguments: Mapping[str, Any], result: Any, *, seconds: float) -> None:
        """Cache a result that may be used for `seconds`; one that is too large is not cached."""
        kept = json.dumps(result, ensure_ascii=False, separators=(",", ":"))
        if len(kept.encode(errors="replace")) <= LARGEST:
            await self._scripts.run(_KEEP, [_key(tenant, tool, arguments)], [kept, int(KEPT * seconds * 1000)])

    async def find(self, tenant: str, tool: str, arguments: Mapping[str, Any]) -> Remembered | None:
        """Return the cached result of the same call, if any."""
        found = await self._scripts.run(_FIND, [_key(tenant, tool, arguments)], [])
        return Remembered(json.loads(found[0]), float(found[1])) if found else None


def _key(tenant: str, tool: str, arguments: Mapping[str, Any]) -> str:
    canonical = json.dumps(arguments, ensure_ascii=True, sort_keys=True)
    return keys.last_good(tenant, tool, hashlib.sha256(canonical.encode()).hexdigest())
