"""`waggle doctor`: what is wrong with an installation, and what to do about it."""

import asyncio
import logging
import os
import time
from collections.abc import Coroutine, Iterator, Mapping
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
from shared.telemetry.redaction import remember, secrets_in, shown

SLOW = 5.0
"""Seconds after which a check is called slow."""

WITHIN = 60.0
"""Seconds a check may take. All run at once, so all of them take no longer."""

STYLES = {"ok": "green", "warn": "yellow", "fail": "red"}


def doctor(json: JsonOption = False) -> None:
    """Check settings, connections, versions, topics, groups and clocks, and say what to do. Changes nothing.

    Looks from here, with the environment a service would have; of what that does not name, what `waggle up` runs here.
    """
    screen = Screen(json=json)
    environment = {**endpoints(root_folder()), **os.environ}
    remember(secrets_in(environment))
    with quiet():
        findings = [_without_secrets(each) for each in asyncio.run(findings_in(environment))]
    failed = any(each.level == "fail" for each in findings)
    if json:
        screen.document({"ok": not failed, "findings": [asdict(each) for each in findings]})
    else:
        for each in findings:
            show(screen, each)
    raise typer.Exit(Exit.FAILED if failed else Exit.COMPLETE)


def _without_secrets(finding: CheckResult) -> CheckResult:
    """The finding as it may be shown: it repeats what a client has said, which may repeat what it was given."""
    return replace(finding, found=shown(finding.found), do=shown(finding.do))


@contextmanager
def quiet() -> Iterator[None]:
    """Without what clients log that cannot connect: it is said once, by the finding."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


async def findings_in(environment: Mapping[str, str]) -> list[CheckResult]:
    """What all checks come to, for a process with this environment."""
    settings, found = check_variables(environment)
    if settings is None:
        return found
    rest = await asyncio.gather(
        timed("kafka", check_kafka(settings)),
        timed("stores", check_stores(settings)),
        timed("endpoints", check_endpoints(settings, environment)),
        timed("tools", check_tools(settings)),
    )
    return [*found, *check_decisions(settings), *(each for part in rest for each in part)]


async def timed(subject: str, check: Coroutine[Any, Any, list[CheckResult]]) -> list[CheckResult]:
    """The findings of a check, and one that says so if it was slow: a busy machine is no failure."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(WITHIN):
            found = await check
    except TimeoutError:
        said = f"slow: not finished after {WITHIN:g} s, which is no proof that anything is unavailable"
        return [warn(f"{subject} speed", said, "look again when this machine is less busy; the logs say more")]
    took = time.monotonic() - began
    if took < SLOW or any(each.level == "fail" for each in found):
        return found
    said = f"slow: answered after {took:.0f} s"
    return [*found, warn(f"{subject} speed", said, "is this machine, or the network, busy?")]


def show(screen: Screen, finding: CheckResult) -> None:
    """One line, and a second one if something is to be done."""
    level = (f"{finding.level:<5}", STYLES[finding.level])
    screen.say(Text.assemble(level, (f"{one_line(finding.subject)}: ", "bold"), one_line(finding.found)))
    if finding.do:
        screen.say(f"     → {one_line(finding.do)}")
