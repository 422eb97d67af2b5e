"""Backtests of policies on the records in Kafka, with the failures of reading as errors of the command line."""

import asyncio
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from schemas.log import RunChanged
from services.cli.exit_codes import CommandError, Exit
from services.cli.gateway_url import endpoints, root_folder
from shared import bus
from shared.access.tenants import Tenants, read_tenants
from shared.authorization import Policies, parse_gate
from shared.bus.admin import await_kafka
from shared.bus.keyring import KeysUnavailable
from shared.config import Settings, file_text, read_toml
from shared.errors import LogDamaged, Misconfigured
from shared.replay.backtest import Backtest, CallChange
from shared.replay.limits import Limits, LimitsBacktest, LimitsOf
from shared.replay.verdicts import Progress, each_run

_OUTAGES: tuple[type[Exception], ...] = (ConnectionError, KeysUnavailable, *bus.OUTAGES)


def gate_from(path: Path | None) -> Policies:
    """Return the gate in a file; without one that of WAGGLE_GATE. Raises CommandError with the file and the entry."""
    path = path or Settings().gate
    try:
        return parse_gate(file_text(path, str(path)) if path else "")
    except Misconfigured as wrong:
        message = str(wrong).replace("WAGGLE_GATE", str(path))
        action = "correct that entry; docs/gate.md lists all of them"
        raise CommandError(message, action, code=Exit.USAGE) from None


def limits_from(path: Path) -> LimitsBacktest:
    """Return the comparison with the limits in a file of tenants. Raises CommandError, as `gate_from`."""
    try:
        before = read_tenants(Settings().tenants)
        return LimitsBacktest(_limits(before), _limits(read_toml(path, Tenants, str(path))))
    except Misconfigured as wrong:
        action = "correct that entry; docs/access.md lists all of them"
        raise CommandError(str(wrong), action, code=Exit.USAGE) from None


def _limits(tenants: Tenants | None) -> LimitsOf:
    def limits_of(tenant: str) -> Limits | None:
        terms = tenants.of(tenant) if tenants is not None else None
        return Limits(terms.defaults, terms.ceilings, terms.day) if terms is not None else None

    return limits_of


def backtest_recorded(
    found: Backtest,
    limits: LimitsBacktest | None,
    since: datetime,
    report: Callable[[CallChange], None],
    progress: Progress,
) -> None:
    """Make both comparisons on what was recorded since then. Raises CommandError if the record cannot be read."""
    running = endpoints(root_folder())
    names = {"kafka": "WAGGLE_KAFKA", "postgres": "WAGGLE_POSTGRES"}  # the latter has the keys of sealed runs
    given = {field: running[name] for field, name in names.items() if name in running and name not in os.environ}
    settings = Settings(**given)  # type: ignore[arg-type]  # a field that is text
    try:
        asyncio.run(_backtest(settings, found, limits, since, report, progress))
    except LogDamaged as damaged:
        raise CommandError(str(damaged)) from None
    except _OUTAGES as outage:
        message = f"the record cannot be read: {outage}"
        raise CommandError(message, "start Kafka and the store of keys, then repeat", code=Exit.UNREACHABLE) from None


async def _backtest(
    settings: Settings,
    found: Backtest,
    limits: LimitsBacktest | None,
    since: datetime,
    report: Callable[[CallChange], None],
    progress: Progress,
) -> None:
    await await_kafka(settings, 5.0)

    def judge(changes: list[RunChanged]) -> None:
        for change in changes:
            for each in found.changes_in(change):
                report(each)
        found.counts["runs"] += 1
        if limits is not None:
            limits.add(changes)
            found.counts["runs_without_start"] = limits.without_start

    unread = await each_run(settings, int(since.timestamp() * 1_000), judge, progress)
    if unread:
        found.counts["unreadable_records"] += unread
