"""Queues of due timers: of each topic some at once."""

import asyncio

from services.timekeeper.timers import Due
from services.timekeeper.topic_queues import TopicQueues


def due(id: str) -> Due:
    return Due(0, id, b"x", 1.0)


async def test_a_topic_that_takes_nothing_holds_up_no_other():
    fired, never = [], asyncio.Event()

    async def fire(each: Due) -> None:
        if each.id.startswith("stuck"):
            await never.wait()
        fired.append(each.id)

    async with asyncio.TaskGroup() as group:
        queues = TopicQueues(group, fire, 2)
        for number in range(10):
            queues.add("stuck", due(f"stuck{number}"))
        for number in range(10):
            queues.add("good", due(f"good{number}"))
        await asyncio.sleep(0.05)
        assert sorted(fired) == sorted(f"good{number}" for number in range(10))
        never.set()
    assert len(fired) == 20


async def test_timers_of_one_topic_fire_concurrently_only_up_to_a_limit():
    running, most = set(), []

    async def fire(each: Due) -> None:
        running.add(each.id)
        most.append(len(running))
        await asyncio.sleep(0.001)
        running.remove(each.id)

    async with asyncio.TaskGroup() as group:
        queues = TopicQueues(group, fire, 3)
        for number in range(20):
            queues.add("runs", due(str(number)))
    assert (len(most), max(most)) == (20, 3)
