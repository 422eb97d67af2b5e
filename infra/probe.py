"""Starting processes: free ports, readiness checks, and no process that outlives its parent."""

import asyncio
import ctypes
import signal
import socket
import sys
from contextlib import suppress

import httpx
from aiokafka import AIOKafkaClient
from aiokafka.errors import KafkaError
from redis.asyncio import Redis
from redis.exceptions import RedisError

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Have the kernel send this process SIGTERM when its parent ends for any reason. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def free_port() -> int:
    """Return a free port on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def listens(port: int) -> bool:
    """Return true if the port on loopback accepts connections."""
    with suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        return True
    return False


async def answers(url: str) -> bool:
    """Return true if the address answers a GET with 200."""
    with suppress(httpx.HTTPError):
        async with httpx.AsyncClient(timeout=5.0, trust_env=False) as client:
            return (await client.get(url)).status_code == httpx.codes.OK
    return False


async def redis_answers(url: str) -> bool:
    """Return true if a Redis answers a PING."""
    with suppress(RedisError, OSError):
        async with Redis.from_url(url) as client:
            return bool(await client.ping())
    return False


async def kafka_answers(bootstrap: str) -> bool:
    """Return true if a Kafka on loopback returns its metadata."""
    if not await listens(int(bootstrap.rpartition(":")[2])):
        return False
    client = AIOKafkaClient(bootstrap_servers=bootstrap)
    try:
        await client.bootstrap()
    except KafkaError:
        return False
    finally:
        await client.close()
    return True
