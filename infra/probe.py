"""Starting things: free ports, whether something can be used yet, and that nothing outlives its parent."""

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
    """Have the kernel send this process SIGTERM when its parent ends, however it ends. Does nothing but on Linux."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def free_port() -> int:
    """A port on loopback nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def listens(port: int) -> bool:
    """Whether a connection to the port on loopback is taken."""
    with suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        return True
    return False


async def answers(url: str) -> bool:
    """Whether the address answers a GET with 200."""
    with suppress(httpx.HTTPError):
        async with httpx.AsyncClient(timeout=5.0, trust_env=False) as client:
            return (await client.get(url)).status_code == httpx.codes.OK
    return False


async def redis_answers(url: str) -> bool:
    """Whether a Redis answers a PING."""
    with suppress(RedisError, OSError):
        async with Redis.from_url(url) as client:
            return bool(await client.ping())
    return False


async def kafka_answers(bootstrap: str) -> bool:
    """Whether a Kafka on loopback gives its metadata."""
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
