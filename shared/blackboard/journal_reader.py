"""Parts of a run's journals, read without claiming them and without loading them whole."""

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from shared.blackboard import keys
from shared.blackboard.connect import Client

AT_ONCE = 32
"""Look-ups sent together."""

MOST_TURNS = 1_000_000
"""Turns of one conversation that are looked for."""


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
    works = (str(key).removeprefix(start) for key in found if str(key).startswith(start))
    return sorted(works, key=_order)


async def count_turns(redis: Client, tenant: str, work_id: str) -> list[int]:
    """Return the number of turns of each conversation in a journal: both are numbered from 1 without gaps.

    The journal is not read: a few look-ups find each end, however long it is.
    """
    key, thoughts = keys.journal(tenant, work_id), 0
    while thoughts % AT_ONCE == 0:
        firsts = [TurnPlace(thoughts + each, 1) for each in range(1, AT_ONCE + 1)]
        found = await _exist(redis, key, firsts)
        thoughts += sum(found)
        if not any(found):
            break
    return [await _last_turn(redis, key, thought) for thought in range(1, thoughts + 1)]


async def _last_turn(redis: Client, key: str, thought: int) -> int:
    """Return the number of the last turn of a conversation that has one, by cutting the range into parts."""
    known, most = 1, MOST_TURNS
    while most - known > 0:
        step = max(1, (most - known) // AT_ONCE)
        tried = [TurnPlace(thought, each) for each in range(known + step, most + 1, step)][: AT_ONCE + 1]
        found = await _exist(redis, key, tried)
        reached = sum(found)
        known, most = known + reached * step, (known + (reached + 1) * step - 1 if reached < len(tried) else most)
        if step == 1 and reached == len(tried):
            break
    return known


async def _exist(redis: Client, key: str, places: Iterable[TurnPlace]) -> list[bool]:
    async with redis.pipeline(transaction=False) as pipe:
        for place in places:
            pipe.hexists(key, place.name)
        return [bool(each) for each in await pipe.execute()]


def turn_places(counts: Iterable[int], start: int, end: int) -> list[TurnPlace]:
    """Return the places of the turns from `start` up to before `end`, counted over all conversations."""
    places, before = list[TurnPlace](), 0
    for thought, count in enumerate(counts, 1):
        first, last = max(start, before), min(end, before + count)
        places += [TurnPlace(thought, each - before + 1) for each in range(first, last)]
        before += count
    return places


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
