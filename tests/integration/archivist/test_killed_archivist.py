"""The archivist as a process of its own that is killed while it works, and Postgres, too: no row lost, none twice."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from functools import partial
from pathlib import Path

import pytest

from infra.embedded.state import postmaster
from infra.probe import answers, free_port
from shared.archive import OUTAGES
from shared.audit import AuditStore
from shared.audit.verifying import verify
from shared.service.outages import through_outages
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


class OwnPostgres:
    """A Postgres of the test's own, which can be killed without notice and started again on its data."""

    def __init__(self, folder: Path) -> None:
        self.data, self.address = folder / "postgres", folder / "address"

    async def start(self) -> str:
        """Start it, and again as long as processes of a killed one are still there; return its URL."""
        self.address.unlink(missing_ok=True)
        command = ("-m", "infra.embedded.postgres", "--folder", str(self.data), "--address-file", str(self.address))
        async with asyncio.timeout(120):
            while not self.address.exists():
                self.running = await asyncio.create_subprocess_exec(sys.executable, *command, cwd=ROOT)
                while self.running.returncode is None and not self.address.exists():
                    await asyncio.sleep(0.05)
        return self.address.read_text()

    async def kill(self) -> None:
        """Kill the server and what started it."""
        self.running.kill()
        await self.running.wait()
        if (found := postmaster(self.data)) is not None:
            os.kill(found.pid, signal.SIGKILL)
            await until(lambda: postmaster(self.data) is None, 60)


@pytest.fixture
async def own_postgres():
    folder = Path(tempfile.mkdtemp(prefix="waggle-killed-", dir="/var/tmp"))
    found = OwnPostgres(folder)
    yield found
    await found.kill()
    shutil.rmtree(folder, ignore_errors=True)


async def test_a_kill_of_postgres_and_of_the_archivist_with_it_loses_no_row(
    settings, topics, sentinel, writer, own_postgres
):
    settings = settings.model_copy(update={"postgres": await own_postgres.start()})
    record, half = AuditStore(settings.postgres), RECORDS // 2

    async def more_than(number: int) -> bool:
        return len(await through_outages(partial(rows_of, record), OUTAGES)) > number

    async def written_until_rows_come(first: int) -> asyncio.Task:
        part = [journaled(f"run-{n}") for n in range(first, first + half)]
        writing = asyncio.create_task(write(writer, settings, part))
        await until(partial(more_than, first), 60)
        return writing

    running = await started(settings)
    try:
        writing = await written_until_rows_come(0)
        await own_postgres.kill()
        assert await own_postgres.start() == settings.postgres
        await writing
        await until(partial(more_than, half - 1), 120)
        assert running.returncode is None  # the same process has gone on
        writing = await written_until_rows_come(half)
        await asyncio.gather(own_postgres.kill(), killed(running))
        await own_postgres.start()
        await writing
        running = await started(settings)
        await until(partial(more_than, RECORDS - 1), 120)
    finally:
        await killed(running)
    proof = await verify(record, "acme")
    assert (proof.fault, proof.rows, proof.contents) == (None, RECORDS, RECORDS)
    assert len({row["run_id"] for row in await rows_of(record)}) == RECORDS
    await record.close()
