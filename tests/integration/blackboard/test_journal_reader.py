"""Turns of a journal are counted without reading it."""

import pytest

from shared.blackboard import keys
from shared.blackboard.journal_reader import TurnPlace, count_turns, turn_places


@pytest.mark.parametrize("counts", [[], [1], [2], [31], [33], [1, 1, 7], [1_025, 3], [1] * 32, [2] * 70, [40_000]])
async def test_turns_are_counted_by_conversation(redis, counts):
    key = keys.journal("acme", "run-a/data/0.0")
    await redis.hset(key, "epoch", "1")
    for thought, count in enumerate(counts, 1):
        await redis.hset(key, mapping={TurnPlace(thought, each).name: "{}" for each in range(1, count + 1)})
    assert await count_turns(redis, "acme", "run-a/data/0.0") == counts


def test_places_are_cut_from_all_conversations_together():
    assert turn_places([2, 3], 1, 4) == [(1, 2), (2, 1), (2, 2)]
    assert turn_places([2, 3], 0, 99) == [(1, 1), (1, 2), (2, 1), (2, 2), (2, 3)]
    assert turn_places([], 0, 5) == []
