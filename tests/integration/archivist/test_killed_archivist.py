"""The archivist as a process of its own that is killed while it works: no row lost, none twice, one chain."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from infra.probe import answers, free_port
from shared.audit.verifying import verify
from tests.support.recording import journaled, rows_of, write
from tests.support.remembering import until

pytestmark = pytest.mark.broker

ROOT = Path(__file__).parents[3]
RECORDS, KILLS = 600, 3


async def started(settings) -> asyncio.subprocess.Process:
    """Start the service, and return when it works."""
    port = free_port()
    given = {
        "WAGGLE_KAFKA": settings.kafka,
        "WAGGLE_REDIS": settings.redis,
        "WAGGLE_POSTGRES": settings.postgres,
        "WAGGLE_TOPIC_PREFIX": settings.topic_prefix,
        "WAGGLE_HTTP_PORT": str(port),
        "WAGGLE_SESSION_TIMEOUT": "1.0",
        "WAGGLE_FETCH_MAX_WAIT_MS": "5",
    }
    command = (sys.executable, "-m", "services.archivist")
    running = await asyncio.create_subprocess_exec(*command, env=os.environ | given, cwd=ROOT)
    async with asyncio.timeout(120):
        while not await answers(f"http://127.0.0.1:{port}/ready"):
            assert running.returncode is None, "it has ended"
            await asyncio.sleep(0.05)
    return running


async def killed(running) -> None:
    """Kill the service without notice."""
    if running.returncode is None:
        os.kill(running.pid, signal.SIGKILL)
    await running.wait()


async def test_kills_lose_no_row_and_add_none_twice(settings, topics, sentinel, writer, record):
    done = 0

    async def more():
        return len(await rows_of(record)) > done

    for kill in range(KILLS):
        part = [journaled(f"run-{n}") for n in range(kill, RECORDS, KILLS)]
        running = await started(settings)
        try:
            writing = asyncio.create_task(write(writer, settings, part))
            await until(more, 60)  # it is killed after its first rows, while others are on their way
        finally:
            await killed(running)
        await writing
        done = len(await rows_of(record))
    running = await started(settings)
    try:
        await until(lambda: complete(record), 120)
    finally:
        await killed(running)
    runs = [row["run_id"] for row in await rows_of(record)]
    assert sorted(runs) == sorted(f"run-{n}" for n in range(RECORDS))
    proof = await verify(record, "acme")
    assert (proof.fault, proof.rows, proof.contents) == (None, RECORDS, RECORDS)


async def complete(record) -> bool:
    """Return True once there is a row for each record."""
    return len({row["run_id"] for row in await rows_of(record)}) == RECORDS
