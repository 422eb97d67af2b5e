"""Rows: dependencies of the swarm that are unavailable, slow, full, empty or old."""

import asyncio
import os
import shutil
import signal
import subprocess
from pathlib import Path

from shared.tools import Effect
from tests.faults.kills import slow_runs
from tests.faults.plans import one_call
from tests.faults.proxy import Mode, Proxy
from tests.faults.table import REAL, Action, NotRun, row
from tests.faults.trial import Trial

AWAY = 30.0
"""Seconds."""


@row("Kafka is killed and restarted during runs", brokers=REAL)
async def kafka_killed(trial: Trial) -> None:
    broker = trial.world.broker
    await trial.submit(*slow_runs())
    await trial.until_effects(4)
    assert broker.pid is not None, "it runs"
    os.kill(broker.pid, signal.SIGKILL)
    trial.outcome.faults = 1
    await asyncio.sleep(1)
    await broker.await_ready()
    await trial.submit(*slow_runs(4))
    await trial.finish()


@row("Kafka is frozen for 15 s during runs", brokers=REAL)
async def kafka_frozen(trial: Trial) -> None:
    pid = trial.world.broker.pid
    await trial.submit(*slow_runs())
    await trial.until_effects(4)
    assert pid is not None, "it runs"
    os.kill(pid, signal.SIGSTOP)
    await asyncio.sleep(15)
    os.kill(pid, signal.SIGCONT)
    trial.outcome.faults = 1
    await trial.finish()


@row("Redis is killed and restarted during runs", may_ask=True, quick=True)
async def redis_killed(trial: Trial) -> None:
    await trial.submit(*slow_runs())
    for count in (2, 10, 20):
        await trial.until_effects(count)
        trial.outcome.faults += trial.world.signal("redis", signal.SIGKILL)
    await trial.finish()


@row("Redis loses all data (FLUSHALL) during runs", may_ask=True, quick=True)
async def redis_flushed(trial: Trial) -> None:
    await trial.submit(*slow_runs())
    for count in (2, 12):
        await trial.until_effects(count)
        await trial.world.redis.flushall()
        trial.outcome.faults += 1
    await trial.finish(60)


@row("Redis is restored from an old dump during runs", may_ask=True)
async def redis_restored(trial: Trial) -> None:
    world, old = trial.world, trial.world.folder / "dump"
    await trial.submit(*slow_runs())
    await trial.until_effects(2)
    shutil.copytree(world.redis_folder, old)
    await trial.until_effects(14)
    await world.stop_child("redis")
    shutil.rmtree(world.redis_folder)
    old.rename(world.redis_folder)
    await world.start_redis()
    trial.outcome.faults = 1
    await trial.finish()


@row("Redis is full and refuses all writes for 8 s", quick=True)
async def redis_full(trial: Trial) -> None:
    await trial.submit(*slow_runs())
    await trial.until_effects(4)
    await trial.world.redis.config_set("maxmemory", "1")
    await asyncio.sleep(8)
    await trial.world.redis.config_set("maxmemory", "0")
    trial.outcome.faults = 1
    await trial.finish(60)


@row("the disk of Redis is full for 8 s", may_ask=True)
async def redis_disk_full(trial: Trial) -> None:
    world = trial.world
    await world.stop_child("redis")
    trial.spoiled = True
    with SmallDisk(world.redis_folder):
        await world.start_redis()
        await trial.submit(*slow_runs())
        await trial.until_effects(4)
        fill(world.redis_folder / "filler")
        await asyncio.sleep(8)
        trial.outcome.faults = int((world.redis_folder / "filler").stat().st_size > 0)
        (world.redis_folder / "filler").unlink()
        await trial.finish(60)
        await world.stop_child("redis")


class SmallDisk:
    """A file system of 32 MB at a folder, for as long as a block. Raises NotRun where that is not allowed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> None:
        command = ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(self._folder)]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode != 0:
            raise NotRun(f"no file system can be mounted here: {made.stderr.strip()}")

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "-l", str(self._folder)], check=True)


def fill(path: Path) -> None:
    """Write until there is no space left."""
    try:
        with path.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4_096)
    except OSError:
        return


def cut(which: str, mode: Mode, make: Action) -> Action:
    """Runs that `make` submits during an outage of a dependency."""

    async def action(trial: Trial) -> None:
        proxy: Proxy = getattr(trial.world, which)
        await make(trial)
        await proxy.become(mode)
        await asyncio.sleep(AWAY)
        await proxy.become("pass")
        trial.outcome.faults = proxy.broken
        await trial.finish()

    return action


async def _runs(trial: Trial) -> None:
    await trial.submit(*slow_runs())
    await trial.until_effects(4)


async def _runs_with_files(trial: Trial) -> None:
    await trial.submit(*(one_call(Effect.READ, delay=1, keeps=1_000) for _ in range(5)))


async def _runs_with_a_model(trial: Trial) -> None:
    await trial.submit(*(one_call(Effect.READ, delay=1, thinks=True) for _ in range(5)))


row("Redis is unavailable for 30 s: connections are refused", extras=True)(cut("redis_proxy", "refuse", _runs))
row("Redis is unavailable for 30 s: requests are never answered", extras=True)(cut("redis_proxy", "swallow", _runs))
row("Postgres is unavailable for 30 s: connections are refused", extras=True)(
    cut("postgres_proxy", "refuse", _runs_with_files)
)
row("Postgres is unavailable for 30 s: requests are never answered", extras=True)(
    cut("postgres_proxy", "swallow", _runs_with_files)
)
row("the model is unavailable for 30 s: connections are refused", extras=True)(
    cut("model_proxy", "refuse", _runs_with_a_model)
)
row("the model is unavailable for 30 s: requests are never answered", extras=True)(
    cut("model_proxy", "swallow", _runs_with_a_model)
)


@row("Redis answers after 0.2 s", extras=True)
async def redis_slow(trial: Trial) -> None:
    proxy = trial.world.redis_proxy
    proxy.delay = 0.1
    trial.outcome.faults = 1
    await trial.submit(*slow_runs())
    await trial.finish()
    proxy.delay = 0.0


@row("Postgres and the model answer after 0.6 s", extras=True)
async def others_slow(trial: Trial) -> None:
    proxies = [proxy for proxy in (trial.world.postgres_proxy, trial.world.model_proxy) if proxy]
    for proxy in proxies:
        proxy.delay = 0.3
    trial.outcome.faults = len(proxies)
    await trial.submit(*(one_call(Effect.READ, thinks=True, keeps=1_000) for _ in range(5)))
    await trial.finish()
    for proxy in proxies:
        proxy.delay = 0.0
