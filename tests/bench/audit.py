"""Measure the audit record: rows written per second, and questions over many rows: `python -m tests.bench.audit`."""

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from statistics import quantiles

from infra.embedded.postgres import DATABASE, start
from shared.audit import AuditStore, Draft, Place
from shared.audit.finding import Question, find
from shared.audit.store import GroupCommit, Recorded
from shared.audit.tables import month_of

TENANTS, DAYS = 20, 365
START = datetime(2025, 12, 1, tzinfo=UTC)
NAMES = ("send_email", "query_database", "search_web", "fetch_page", "write_file", "run_python")

_FILL = """
INSERT INTO audit_records
SELECT 't' || n % 20, n / 20 + 1, $3::timestamptz + n * (interval '365 days' / $4::bigint),
    (ARRAY['model_call', 'tool_call', 'tool_request', 'verdict', 'transition', 'step', 'message', 'decision'])
        [h % 8 + 1],
    (ARRAY['send_email', 'query_database', 'search_web', 'fetch_page', 'write_file', 'run_python'])[h / 8 % 6 + 1],
    'run-' || n % 20 || '-' || n / 520, 's1', 'data', (ARRAY['data', 'research', 'Ada', 'Ben'])[h / 48 % 4 + 1],
    'made', '', 'ref-' || n, 900, 80, 0.002, 1.5, '{"epoch":1}', '', 'journal', 0, n, 0,
    sha256(int8send(n)), sha256(int8send(n + 20))
FROM (SELECT n, abs(hashint8(n)) h FROM generate_series($1::bigint, $2::bigint) n) numbered
"""


async def filled(store: AuditStore, rows: int) -> None:
    """Fill an empty record straight in Postgres: the same rows as the archivist writes, without contents."""
    await store.door.have_months({month_of(START + timedelta(days=day)) for day in range(DAYS + 1)})
    async with store.door.owner() as connection:
        for first in range(0, rows, 100_000):
            await connection.execute("SET session_replication_role = replica")
            last = min(first + 100_000, rows) - 1
            await connection.execute("SELECT set_config('row_security', 'off', false)")
            await connection.execute(_FILL, first, last, START, rows, timeout=600)
        await connection.execute("ANALYZE audit_records", timeout=600)
        await connection.execute("RESET ALL")


async def asked(ask: Callable[[int], Awaitable[object]], times: int = 100) -> str:
    """Return the median and p95 of a question, in milliseconds."""
    found = []
    for n in range(times):
        began = time.perf_counter()
        await ask(n)
        found.append((time.perf_counter() - began) * 1_000)
    cuts = quantiles(found, n=20)
    return f"median {cuts[9]:.1f} ms, p95 {cuts[18]:.1f} ms"


async def questions(store: AuditStore) -> None:
    """Time questions by tenant and time, each with other values."""
    chance = Random(7)

    def by(**values: object) -> Callable[[int], Awaitable[object]]:
        async def ask(n: int) -> object:
            since = START + timedelta(days=chance.uniform(0, DAYS - 8))
            named = {name: chance.choice(each) if isinstance(each, tuple) else each for name, each in values.items()}
            question = Question(since=since, until=since + timedelta(days=7), **named)  # type: ignore[arg-type]
            return await find(store, f"t{n % TENANTS}", question, 50)

        return ask

    print("a week of a tenant:", await asked(by()))
    print("a week of a tool:", await asked(by(kinds=["tool_call"], name=NAMES)))
    print("a week of a person's decisions:", await asked(by(kinds=["decision"], by="Ada")))
    print("a week of a failed outcome, of which there is none:", await asked(by(outcome="failed")))


async def written(store: AuditStore, rows: int, runs: int = 100) -> None:
    """Time the writing of rows with contents, as many at once as the service reads."""
    commit, waiting, lags = GroupCommit(store), asyncio.Semaphore(256), []
    now = datetime.now(UTC)

    async def add(n: int) -> None:
        async with waiting:
            began = time.perf_counter()
            contents = {"arguments": "a text of a call " * 40, "result": "a text of a result " * 40}
            draft = Draft(tenant="bench", at=now, kind="tool_call", name="t", run_id=f"r{n % runs}", contents=contents)
            await commit.add(Recorded(Place("journal", 1, n), [draft]))
            lags.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(add(n) for n in range(rows)))
    seconds = time.perf_counter() - began
    print(f"written: {rows / seconds:,.0f} rows per second, p99 of a row {quantiles(lags, n=100)[98] * 1_000:.0f} ms")


async def measured(dsn: str, rows: int, *, seals: bool) -> None:
    """Fill, write and ask."""
    store = AuditStore(dsn, seals=seals)
    began = time.perf_counter()
    await filled(store, rows)
    print(f"filled with {rows:,} rows in {time.perf_counter() - began:.0f} s; load {os.getloadavg()[0]:.1f}")
    await questions(store)
    await written(store, 20_000)
    await store.close()


def main() -> None:
    """Measure on a Postgres of its own, which is removed afterwards."""
    parser = argparse.ArgumentParser(prog="tests.bench.audit", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--seal", action="store_true", help="seal contents, as stacks do")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = start(Path(folder) / "postgres" / "data")
        try:
            asyncio.run(measured(server.get_uri(DATABASE), chosen.rows, seals=chosen.seal))
        finally:
            server.cleanup()


if __name__ == "__main__":
    main()
