"""`waggle doctor`: check an installation and suggest fixes."""

import asyncio
import logging
import os
import time
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

import typer
from rich.text import Text

from services.cli.checks.check_result import CheckResult, warn
from services.cli.checks.decisions import check_decisions
from services.cli.checks.endpoints import check_endpoints
from services.cli.checks.kafka import check_kafka
from services.cli.checks.stores import check_stores
from services.cli.checks.tools import check_tools
from services.cli.checks.variables import check_variables
from services.cli.exit_codes import Exit
from services.cli.gateway_url import endpoints, root_folder
from services.cli.options import JsonOption
from services.cli.terminal import Screen, one_line
from shared.access.settings import AccessSettings
from shared.config import settings_of
from shared.telemetry.redaction import remember, secrets_in, shown

SLOW = 5.0
"""Seconds after which a check is reported as slow."""

WITHIN = 60.0
"""Seconds a check may take. They run concurrently, so this bounds them all."""

STYLES = {"ok": "green", "warn": "yellow", "fail": "red"}


def doctor(json: JsonOption = False) -> None:
    """Check settings, connections, versions, topics, groups and clocks, and suggest fixes. Changes nothing.

    Uses the environment that a service started here would have. Settings it lacks are taken from a running
    `waggle up`. Exits with 1 if a check fails.
    """
    screen = Screen(json=json)
    environment = {**endpoints(root_folder()), **os.environ}
    remember(secrets_in(environment))
    with _silenced_logs():
        findings = [_redacted(each) for each in asyncio.run(run_checks(environment))]
    failed = any(each.level == "fail" for each in findings)
    document = {"ok": not failed, "findings": [asdict(each) for each in findings]}
    screen.answer(document, lambda: _show(screen, findings))
    raise typer.Exit(Exit.FAILED if failed else Exit.COMPLETE)


def _redacted(finding: CheckResult) -> CheckResult:
    """Return the finding without secrets: it quotes errors of clients, which may quote a password."""
    return replace(finding, found=shown(finding.found), do=shown(finding.do))


@contextmanager
def _silenced_logs() -> Iterator[None]:
    """Disable logging: clients that cannot connect log at length what the finding says once."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


async def run_checks(environment: Mapping[str, str]) -> list[CheckResult]:
    """Run all checks for a process with this environment."""
    settings, found = check_variables(environment)
    if settings is None:
        return found
    rest = await asyncio.gather(
        timed("kafka", check_kafka(settings)),
        timed("stores", check_stores(settings)),
        timed("endpoints", check_endpoints(settings, environment)),
        timed("tools", check_tools(settings)),
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


def _show(screen: Screen, findings: Sequence[CheckResult]) -> None:
    """Print each finding on one line, and a suggested fix on another."""
    for each in findings:
        level = (f"{each.level:<5}", STYLES[each.level])
        screen.say(Text.assemble(level, (f"{one_line(each.subject)}: ", "bold"), one_line(each.found)))
        if each.do:
            screen.say(f"     → {one_line(each.do)}")
