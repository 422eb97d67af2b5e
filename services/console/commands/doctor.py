"""`waggle doctor`: what is wrong with an installation, and what to do about it."""

import asyncio
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict

import typer
from rich.text import Text

from services.console.checks.decisions import check_decisions
from services.console.checks.endpoints import check_endpoints
from services.console.checks.finding import Finding
from services.console.checks.kafka import check_kafka
from services.console.checks.stores import check_stores
from services.console.checks.tools import check_tools
from services.console.checks.variables import check_variables
from services.console.exits import Exit
from services.console.options import JsonOption
from services.console.text import Screen, one_line
from services.console.where import endpoints, root_folder

STYLES = {"ok": "green", "warn": "yellow", "fail": "red"}


def doctor(json: JsonOption = False) -> None:
    """Check settings, connections, versions, topics, groups and clocks, and say what to do. Changes nothing.

    Looks from here, with the environment a service would have; of what that does not name, what `waggle up` runs here.
    """
    screen = Screen(json=json)
    with quiet():
        findings = asyncio.run(findings_in({**endpoints(root_folder()), **os.environ}))
    failed = any(each.level == "fail" for each in findings)
    if json:
        screen.document({"ok": not failed, "findings": [asdict(each) for each in findings]})
    else:
        for each in findings:
            show(screen, each)
    raise typer.Exit(Exit.FAILED if failed else Exit.COMPLETE)


@contextmanager
def quiet() -> Iterator[None]:
    """Without what clients log that cannot connect: it is said once, by the finding."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


async def findings_in(environment: Mapping[str, str]) -> list[Finding]:
    """What all checks come to, for a process with this environment."""
    settings, found = check_variables(environment)
    if settings is None:
        return found
    rest = await asyncio.gather(
        check_kafka(settings), check_stores(settings), check_endpoints(settings, environment), check_tools(settings)
    )
    return [*found, *check_decisions(settings), *(each for part in rest for each in part)]


def show(screen: Screen, finding: Finding) -> None:
    """One line, and a second one if something is to be done."""
    level = (f"{finding.level:<5}", STYLES[finding.level])
    screen.say(Text.assemble(level, (f"{one_line(finding.subject)}: ", "bold"), one_line(finding.found)))
    if finding.do:
        screen.say(f"     → {one_line(finding.do)}")
