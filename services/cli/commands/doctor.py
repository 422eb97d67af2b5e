"""`waggle doctor`: check an installation and suggest fixes."""

import asyncio
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Annotated

import typer
from rich.text import Text

from services.cli.checks.check_result import CheckResult
from services.cli.exit_codes import Exit
from services.cli.gateway_url import endpoints, root_folder
from services.cli.options import JsonOption
from services.cli.terminal import Screen, one_line

STYLES = {"ok": "green", "warn": "yellow", "fail": "red"}


CallOption = Annotated[
    bool, typer.Option("--call", help="Check each model by a call of 1 token, which is paid, instead of by its list.")
]


def doctor(call: CallOption = False, json: JsonOption = False) -> None:
    """Check settings, connections, versions, topics, groups and clocks, and suggest fixes. Changes nothing.

    Uses the environment that a service started here would have. Settings it lacks are taken from a running
    `waggle up`. Exits with 1 if a check fails.
    """
    screen = Screen(json=json)
    findings = _findings({**endpoints(root_folder()), **os.environ}, call=call)
    failed = any(each.level == "fail" for each in findings)
    document = {"ok": not failed, "findings": [asdict(each) for each in findings]}
    screen.answer(document, lambda: _show(screen, findings))
    raise typer.Exit(Exit.FAILED if failed else Exit.COMPLETE)


def _findings(environment: Mapping[str, str], *, call: bool) -> list[CheckResult]:
    """Run all checks. Secrets are redacted: a finding quotes errors of clients, which may quote a password."""
    from services.cli.checks.all_checks import run_checks  # noqa: PLC0415 -- imports every client
    from shared.telemetry.redaction import remember, secrets_in, shown  # noqa: PLC0415 -- slow to import

    remember(secrets_in(environment))
    with _silenced_logs():
        found = asyncio.run(run_checks(environment, call=call))
    return [replace(each, found=shown(each.found), do=shown(each.do)) for each in found]


@contextmanager
def _silenced_logs() -> Iterator[None]:
    """Disable logging: clients that cannot connect log at length what the finding says once."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _show(screen: Screen, findings: Sequence[CheckResult]) -> None:
    """Print each finding on one line, and a suggested fix on another."""
    for each in findings:
        level = (f"{each.level:<5}", STYLES[each.level])
        screen.say(Text.assemble(level, (f"{one_line(each.subject)}: ", "bold"), one_line(each.found)))
        if each.do:
            screen.say(f"     → {one_line(each.do)}")
