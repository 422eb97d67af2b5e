"""Read-only survey of a Redis server: version, eviction, persistence, clock."""

import time
from dataclasses import dataclass

from redis.asyncio import Redis

from shared.blackboard.connect import Client, tls
from shared.config import Settings


@dataclass(frozen=True, slots=True)
class RedisSurvey:
    """Properties of a Redis server."""

    version: tuple[int, ...]
    evicts: bool
    """True if it evicts keys when memory is full."""
    keeps: bool
    """True if it persists every write (AOF)."""
    ahead: float
    """Seconds its clock is ahead of this machine's, to within the round-trip time."""


async def survey(settings: Settings) -> RedisSurvey:
    """Survey the configured Redis. Raises Redis's errors: call `check_redis` first."""
    client: Client = Redis.from_url(
        settings.redis, socket_connect_timeout=3, socket_timeout=3, decode_responses=True, **tls(settings)
    )
    try:
        await client.ping()
        before = time.time()
        seconds, micros = await client.time()
        middle = (before + time.time()) / 2
        about = await client.info()
    finally:
        await client.aclose()
    return RedisSurvey(
        version=tuple(int(part) for part in str(about["redis_version"]).split(".")[:3]),
        evicts=about.get("maxmemory_policy", "noeviction") != "noeviction",
        keeps=bool(about.get("aof_enabled")),
        ahead=seconds + micros / 1e6 - middle,
    )
