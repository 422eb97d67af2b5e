"""Parts of a run's journals, read without claiming them and without loading them whole."""

import json
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from shared.blackboard import keys
from shared.blackboard.connect import Client

_TURN = re.compile(r"think-(\d{1,6})/turn-(\d{1,6})")


class TurnPlace(NamedTuple):
    """Place of a model turn in a journal; places sort in the order of the turns."""

    thought: int
    turn: int

    @property
    def name(self) -> str:
        """Name of the turn's entry."""
        return f"think-{self.thought}/turn-{self.turn}"


async def read_works(redis: Client, tenant: str, run_id: str) -> list[str]:
    """Return the work ids of the run's journals: of every step and round of which an agent has started the work."""
    start = keys.journal(tenant, "")
    found = await redis.smembers(keys.journals(tenant, run_id))
    return sorted((str(key).removeprefix(start) for key in found), key=_order)


async def read_turn_places(redis: Client, tenant: str, work_id: str) -> list[TurnPlace]:
    """Return the places of all turns in a journal, in order."""
    names = await redis.hkeys(keys.journal(tenant, work_id))
    found = (_TURN.fullmatch(name) for name in names)
    return sorted(TurnPlace(int(each[1]), int(each[2])) for each in found if each)


async def read_entries(redis: Client, tenant: str, work_id: str, names: Iterable[str]) -> dict[str, Any]:
    """Return those of the named entries that the journal has, without revoked ones."""
    wanted = list(names)
    found = await redis.hmget(keys.journal(tenant, work_id), wanted) if wanted else []
    entries = {name: json.loads(entry) for name, entry in zip(wanted, found, strict=True) if entry is not None}
    return {name: entry for name, entry in entries.items() if entry is not None}


def _order(work_id: str) -> tuple[str, list[int]]:
    """Return the sort key of `<run>/<step>/<replans>.<round>`."""
    step, _, numbers = work_id.rpartition("/")
    return step, [int(each) if each.isdecimal() else 0 for each in numbers.split(".")]
