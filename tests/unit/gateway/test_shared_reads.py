"""Reads shared by followers: one for all who ask at the same moment."""

import asyncio

import pytest

from services.gateway.shared_reads import SharedReads


class Source:
    def __init__(self) -> None:
        self.reads, self.go = 0, asyncio.Event()

    async def read(self) -> int:
        self.reads += 1
        number = self.reads
        await self.go.wait()
        if number == 2:
            raise RuntimeError("the second fails")
        return number


async def test_callers_at_the_same_moment_share_a_read_and_later_ones_read_once_more():
    shared, source = SharedReads(), Source()
    first = [asyncio.create_task(shared.read("run-1", source.read)) for _ in range(100)]
    await asyncio.sleep(0)
    first[0].cancel()
    source.go.set()
    results = await asyncio.gather(*first, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError), "and it cancels nothing for the others"
    assert (results[1:], source.reads) == ([1] * 99, 1)
    with pytest.raises(RuntimeError, match="the second fails"):
        await shared.read("run-1", source.read)
    assert await shared.read("run-1", source.read) == 3


async def test_reads_of_other_runs_are_not_shared():
    shared, source = SharedReads(), Source()
    source.go.set()
    assert await asyncio.gather(shared.read("run-1", source.read), shared.read("run-3", returning(7))) == [1, 7]


def returning(value: int):
    async def read() -> int:
        return value

    return read
