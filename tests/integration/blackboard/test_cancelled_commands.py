"""Commands that are cancelled at any moment: each ends."""

import asyncio

import pytest


@pytest.mark.parametrize("moment", range(40))
async def test_a_command_that_is_cancelled_at_any_moment_ends(sentinel, moment):
    for client in (sentinel.client, sentinel.own):
        await client.ping()
        task = asyncio.create_task(client.blpop(["nothing-comes"], 1))
        for _ in range(moment):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled(), f"after {moment} turns of the loop"
        assert await client.ping(), "the next command has an answer of its own"
