"""Check that Redis and Postgres are available, of a supported release, and configured to lose nothing."""

import asyncio

from services.cli.checks.check_result import CheckResult, clock, fail, ok, warn
from shared import archive, blackboard
from shared.archive import check_postgres
from shared.archive import survey as survey_postgres
from shared.blackboard import check_redis
from shared.blackboard.survey import RedisSurvey
from shared.blackboard.survey import survey as survey_redis
from shared.config import Settings
from shared.errors import Misconfigured
from shared.system.urls import without_password

OLDEST_REDIS = (6, 2)
OLDEST_POSTGRES = 15
"""Oldest release the tests run on."""

_CORRECT = "correct that setting; docs/secure-transport.md has examples"


async def check_stores(settings: Settings) -> list[CheckResult]:
    """Check Redis, then Postgres."""
    redis, postgres = await asyncio.gather(_redis(settings), _postgres(settings.postgres))
    return [*redis, *postgres]


async def _redis(settings: Settings) -> list[CheckResult]:
    at = without_password(settings.redis)
    try:
        await check_redis(settings)
        found = await survey_redis(settings)
    except Misconfigured as refused:
        return [fail("redis", str(refused), _CORRECT)]
    except blackboard.OUTAGES as outage:
        return [fail("redis", f"it cannot be reached at {at}: {outage}", "start it, or correct WAGGLE_REDIS")]
    return [_release(at, found), *_durability(found), clock("redis clock", found.ahead)]


def _release(at: str, found: RedisSurvey) -> CheckResult:
    release = ".".join(map(str, found.version))
    if found.version < OLDEST_REDIS:
        return fail("redis", f"{at} is {release}", "upgrade it: scripts need 6.2 or later")
    return ok("redis", f"{at} is {release}")


def _durability(found: RedisSurvey) -> list[CheckResult]:
    evicting = fail(
        "redis memory",
        "it evicts keys when it is full, so runs would be lost",
        "set maxmemory-policy noeviction; services wait when it is full",
    )
    volatile = warn(
        "redis disk",
        "it does not write changes to disk at once (AOF is off)",
        "set appendonly yes; otherwise each restart rebuilds the blackboard from Kafka",
    )
    return [*([evicting] if found.evicts else []), *([] if found.keeps else [volatile])]


async def _postgres(dsn: str) -> list[CheckResult]:
    at = without_password(dsn)
    try:
        await check_postgres(dsn)
        major, ahead = await survey_postgres(dsn)
    except Misconfigured as refused:
        return [fail("postgres", str(refused), _CORRECT)]
    except archive.OUTAGES as outage:
        why = str(outage) or type(outage).__name__
        return [fail("postgres", f"it cannot be reached at {at}: {why}", "start it, or correct WAGGLE_POSTGRES")]
    if major < OLDEST_POSTGRES:
        release = warn("postgres", f"{at} is {major}", f"upgrade it: the tests run on {OLDEST_POSTGRES} and later")
    else:
        release = ok("postgres", f"{at} is {major}")
    return [release, clock("postgres clock", ahead)]
