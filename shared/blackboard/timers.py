"""Records that wait until they are due: retries, deadlines, time-outs of people."""

from datetime import datetime

from shared.blackboard import keys
from shared.blackboard.connect import Client


async def wait_until(redis: Client, id: str, record: str, due: datetime) -> None:
    """Keep a record until it is due. The same id again changes nothing but the time."""
    async with redis.pipeline(transaction=True) as pipe:
        pipe.hset(keys.TIMER_RECORDS, id, record)
        pipe.zadd(keys.TIMERS, {id: due.timestamp()})
        await pipe.execute()


async def due_records(redis: Client, now: datetime, limit: int = 100) -> dict[str, str]:
    """Records that are due, by id. They stay until `fired` says that they are published: fired at least once."""
    ids = await redis.zrangebyscore(keys.TIMERS, "-inf", now.timestamp(), start=0, num=limit)
    records = await redis.hmget(keys.TIMER_RECORDS, ids) if ids else []
    return {id: record for id, record in zip(ids, records, strict=True) if record}


async def fired(redis: Client, ids: list[str]) -> None:
    """Forget records that were published."""
    async with redis.pipeline(transaction=True) as pipe:
        pipe.zrem(keys.TIMERS, *ids)
        pipe.hdel(keys.TIMER_RECORDS, *ids)
        await pipe.execute()
