"""All checks of `waggle doctor`, run concurrently."""

import asyncio
import time
from collections.abc import Coroutine, Mapping
from typing import Any

from services.cli.checks.check_result import CheckResult, warn
from services.cli.checks.decisions import check_decisions
from services.cli.checks.endpoints import check_endpoints
from services.cli.checks.kafka import check_kafka
from services.cli.checks.memory import check_memory
from services.cli.checks.notifications import check_notifications
from services.cli.checks.stores import check_stores
from services.cli.checks.tools import check_tools
from services.cli.checks.variables import check_variables
from shared.access.settings import AccessSettings
from shared.config import settings_of

SLOW = 5.0
"""Seconds after which a check is reported as slow."""

WITHIN = 60.0
"""Seconds a check may take. They run concurrently, so this bounds them all."""


async def run_checks(environment: Mapping[str, str], *, call: bool = False) -> list[CheckResult]:
    """Run all checks for a process with this environment. `call`: make a paid call of one token to each model."""
    settings, found = check_variables(environment)
    if settings is None:
        return found
    rest = await asyncio.gather(
        timed("kafka", check_kafka(settings)),
        timed("stores", check_stores(settings)),
        timed("endpoints", check_endpoints(settings, environment, call=call)),
        timed("tools", check_tools(settings)),
        timed("memory", check_memory(settings)),
        timed("notifications", check_notifications(environment)),
    )
    return [
        *found,
        *check_decisions(settings_of(environment, AccessSettings)),
        *(each for part in rest for each in part),
    ]


async def timed(subject: str, check: Coroutine[Any, Any, list[CheckResult]]) -> list[CheckResult]:
    """Run a check; report a slow one as a warning, since a busy machine is not a failure."""
    started = time.monotonic()
    try:
        async with asyncio.timeout(WITHIN):
            found = await check
    except TimeoutError:
        slow = f"slow: not finished after {WITHIN:g} s; this does not prove that it is unavailable"
        return [warn(f"{subject} speed", slow, "repeat when this machine is less busy; see the logs for details")]
    took = time.monotonic() - started
    if took < SLOW or any(each.level == "fail" for each in found):
        return found
    slow = f"slow: answered after {took:.0f} s"
    return [*found, warn(f"{subject} speed", slow, "check whether this machine or the network is busy")]
