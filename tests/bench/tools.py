"""`python -m tests.bench.tools`: what the limits of tools cost a call, on a Redis of its own on loopback."""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from subprocess import DEVNULL

from prometheus_client import CollectorRegistry

from infra.embedded import redis as embedded_redis
from infra.probe import free_port, redis_answers
from shared.blackboard import Sentinel
from shared.resilience import Outcome
from shared.telemetry.metrics import Metrics
from shared.tools import Effect, Limits, Risk, tool
from shared.tools.runtime import CallPermit, LastGood, ToolAdmission

CALLS = 2_000


@tool(risk=Risk.LOW, effect=Effect.READ)
async def look(text: str) -> str:
    """Look."""
    return text


ARGUMENTS = {"text": "x" * 100}
BREAKER = Limits(breaker=True)
BOTH = Limits(breaker=True, per_minute=1e6, tenant_per_minute=1e6)


async def main() -> None:
    """Measure and print one table."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        url = f"redis://127.0.0.1:{port}/0"
        command = embedded_redis.command(port, Path(folder))
        server = await asyncio.create_subprocess_exec(*command, stdout=DEVNULL, stderr=DEVNULL)
        try:
            while not await redis_answers(url):
                await asyncio.sleep(0.05)
            await measure(Sentinel(url))
        finally:
            server.terminate()
            await server.wait()


async def measure(sentinel: Sentinel) -> None:
    admissions, last_good = ToolAdmission(sentinel.scripts, Metrics(CollectorRegistry())), LastGood(sentinel.scripts)
    admitted: list[CallPermit] = []

    async def ask(limits: Limits) -> None:
        answer = await admissions.admit(look, limits, ARGUMENTS, tenant="acme", made=0)
        assert isinstance(answer, CallPermit)
        admitted.append(answer)

    print("| what | median, µs | p99, µs |\n|---|---|---|")
    print(await row("PING, for comparison", sentinel.own.ping))
    print(await row("admission without limits", lambda: ask(Limits())))
    print(await row("admission: breaker", lambda: ask(BREAKER)))
    print(await row("admission: breaker and two rates", lambda: ask(BOTH)))
    print(await row("report that it worked", lambda: admissions.report(admitted[-1], Outcome.WORKED)))
    kept = {"text": "x" * 6_000}
    print(await row("keep a result of 6 KB", lambda: last_good.keep("acme", "look", ARGUMENTS, kept, seconds=60)))
    print(await row("find it", lambda: last_good.find("acme", "look", ARGUMENTS)))
    await sentinel.close()


async def row(name: str, act: Callable[[], Awaitable[object]]) -> str:
    """One line of the table."""
    for _ in range(100):
        await act()
    took = []
    for _ in range(CALLS):
        began = time.perf_counter()
        await act()
        took.append((time.perf_counter() - began) * 1e6)
    return f"| {name} | {statistics.median(took):.0f} | {statistics.quantiles(took, n=100)[98]:.0f} |"


if __name__ == "__main__":
    asyncio.run(main())
