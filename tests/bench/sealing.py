"""`python -m tests.bench.sealing`: bytes in Apache Kafka and CPU of a step, with and without `WAGGLE_SEAL`.

Runs of one step with a file of 12 KB, of which the simulated model reads parts. Rounds alternate; each has a swarm of
its own on the same Kafka. The first runs of a round, in which processes connect and load, are not counted.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_bytes
from uuid import uuid4

import httpx
import psutil
from aiokafka import AIOKafkaConsumer

from infra.embedded.stack import Stack
from infra.kafka.broker import running
from infra.probe import answers, free_port
from shared.bus.owners import owner_of, waits
from shared.bus.sealing import SEALED, Owner, seal, unseal

SERVICES = ["gateway", "memory", "orchestrator", "research", "reviewer", "timekeeper"]
FIRST = 5
AT_ONCE = 4
WITHIN = 600.0
"""Seconds a round may take."""
TEXT = "\n".join(f"{n}. Herons of colony {n * 7919 % 10_007} nest in {n * 104_729 % 9_973} reeds." for n in range(220))


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of one step."""

    kafka: float
    """Bytes in the segments of all topics."""
    services: float
    """Milliseconds of CPU of all services."""
    postgres: float
    """Milliseconds of CPU of Postgres."""
    sealing: float
    """Milliseconds of CPU to seal each clear record once, measured by itself: the services' varies more than that."""
    opening: float
    """Likewise to open each of them once."""


@asynccontextmanager
async def swarm(folder: Path, kafka: str, model: str, seal: str) -> AsyncIterator[tuple[Stack, str]]:
    """A swarm of its own topics; their prefix."""
    prefix = f"b{uuid4().hex[:6]}."
    given = {"WAGGLE_KAFKA": kafka, "OPENAI_BASE_URL": model, "OPENAI_API_KEY": "simulated", "WAGGLE_SEAL": seal}
    given |= {"WAGGLE_TOPIC_PREFIX": prefix, "WAGGLE_LOG_LEVEL": "WARNING"}
    stack = Stack(folder, environment=os.environ | given, services=SERVICES)
    await stack.start()
    try:
        yield stack, prefix
    finally:
        await stack.stop()


async def work(stack: Stack, number: int) -> None:
    """Have that many runs done."""
    turns = asyncio.Semaphore(AT_ONCE)
    async with httpx.AsyncClient(base_url=stack.endpoints["WAGGLE_GATEWAY"], timeout=300, trust_env=False) as gateway:

        async def one(place: int) -> None:
            files = {"attachments": [{"name": "herons.txt", "text": TEXT}]}
            task = {"objective": f"Where do the herons of colony {place} nest?", "shape": "single", "agent": "research"}
            async with turns:
                run = (await gateway.post("/v1/tasks", json=task | {"context": files})).json()["run_id"]
                while (await gateway.get(f"/v1/runs/{run}/result")).status_code != 200:
                    await asyncio.sleep(0.3)

        async with asyncio.timeout(WITHIN):
            await asyncio.gather(*map(one, range(number)))


def cpu_of_services(stack: Stack) -> float:
    """Seconds of CPU of the services and of all that they have started, ended processes included."""
    own = [psutil.Process(child.pid) for child in stack._children if child.name in SERVICES]
    return sum(sum(each.cpu_times()[:4]) for top in own for each in (top, *top.children(recursive=True)))


def cpu_of_postgres(stack: Stack) -> float:
    """Seconds of CPU of Postgres: all its processes work in the folder of its data."""
    data = str(stack.state.postgres.resolve())
    return sum(sum(each.cpu_times()[:4]) for each in psutil.process_iter() if _folder_of(each) == data)


def _folder_of(process: psutil.Process) -> str:
    try:
        return str(process.cwd())
    except psutil.Error:
        return ""


def stored(data: Path, prefix: str) -> int:
    return sum(each.stat().st_size for each in data.glob(f"{prefix}*/*.log"))


async def records_of(kafka: str, prefix: str) -> list[tuple[Owner, dict[str, str], bytes]]:
    """Return the clear records of runs."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, auto_offset_reset="earliest", max_poll_records=10_000)
    await consumer.start()
    consumer.subscribe(pattern=f"^{prefix.replace('.', '[.]')}")
    found = []
    while batches := await consumer.getmany(timeout_ms=3_000):
        for each in [record for batch in batches.values() for record in batch if record.value]:
            headers = {name: value.decode() for name, value in each.headers}
            topic, key = each.topic.removeprefix(prefix), (each.key or b"").decode()
            owner = None if waits(topic) or SEALED in headers else owner_of(topic, key, headers, each.value)
            found += [(owner, headers, each.value)] if owner else []
    await consumer.stop()
    return found


async def alone(kafka: str, prefix: str, number: int) -> tuple[float, float]:
    """Return the milliseconds of CPU of a step for sealing, and for opening once."""
    clear, key = await records_of(kafka, prefix), token_bytes(32)
    start = time.process_time()
    sealed = [(owner, seal(owner, key, headers, value)) for owner, headers, value in clear]
    middle = time.process_time()
    for owner, each in sealed:
        unseal(owner, [key], each.value)
    return (middle - start) * 1_000 / number, (time.process_time() - middle) * 1_000 / number


async def cost(folder: Path, kafka: str, data: Path, model: str, setting: str, number: int) -> Cost:
    """Play one round."""
    async with swarm(folder / uuid4().hex[:6], kafka, model, setting) as (stack, prefix):
        await work(stack, FIRST)
        size, services, postgres = stored(data, prefix), cpu_of_services(stack), cpu_of_postgres(stack)
        await work(stack, number)
        await asyncio.sleep(3)  # the memory service is behind
        spent = (cpu_of_services(stack) - services, cpu_of_postgres(stack) - postgres)
        sealing, opening = await alone(kafka, prefix, number + FIRST)
        size, (services, postgres) = stored(data, prefix) - size, (each * 1_000 / number for each in spent)
        return Cost(size / number, services, postgres, sealing, opening)


async def measure(folder: Path, kafka: str, rounds: int, number: int) -> None:
    """Play rounds and print each, and the ratios of the means."""
    port = free_port()
    server = subprocess.Popen([sys.executable, "-m", "infra.simulated_model", "--port", str(port)])
    while not await answers(f"http://127.0.0.1:{port}/health"):
        await asyncio.sleep(0.1)
    found: dict[str, list[Cost]] = {"false": [], "true": []}
    for setting in ("false", "true") * rounds:
        at = f"http://127.0.0.1:{port}/v1"
        found[setting].append(await cost(folder, kafka, folder / "kafka", at, setting, number))
        print(f"WAGGLE_SEAL={setting}: {found[setting][-1]}", flush=True)
    server.terminate()
    for name in ("kafka", "services", "postgres"):
        clear, sealed = (statistics.mean(getattr(each, name) for each in found[setting]) for setting in found)
        print(f"{name}: {clear:,.0f} → {sealed:,.0f}, ratio {sealed / clear:.2f}")
    for name in ("sealing", "opening"):
        own = statistics.mean(getattr(each, name) for each in found["false"])
        print(
            f"{name}: {own:.2f} ms, {own / statistics.mean(each.services for each in found['false']):.1%} of services"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="tests.bench.sealing", description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--runs", type=int, default=60)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="waggle-sealing-") as name, running(Path(name) / "kafka") as kafka:
        asyncio.run(measure(Path(name), kafka, chosen.rounds, chosen.runs))


if __name__ == "__main__":
    main()
