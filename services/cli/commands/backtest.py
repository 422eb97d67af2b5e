"""`waggle backtest`: judge recorded calls again under a changed gate, before it is used."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.exit_codes import CommandError, Exit
from services.cli.options import JsonOption
from services.cli.terminal import Screen
from services.cli.times import parse_time_or_age

if TYPE_CHECKING:
    from shared.replay.backtest import CallChange

_PROGRESS = 5_000
"""Runs between two lines of progress."""


class FailOn(StrEnum):
    """Changes that fail the command."""

    ANY = "any"
    ASK = "ask"
    DENY = "deny"
    ALLOW = "allow"
    NOTIFY = "notify"


_Gate = Annotated[
    Path | None, typer.Option("--gate", metavar="FILE", help="The gate to test, as WAGGLE_GATE would name it.")
]
_Budgets = Annotated[
    Path | None,
    typer.Option("--budgets", metavar="FILE", help="Limits of tenants to test, as WAGGLE_TENANTS would name them."),
]
_Against = Annotated[
    Path | None,
    typer.Option("--against", metavar="FILE", help="Gate of the record. Default: WAGGLE_GATE, else the shipped one."),
]
_Since = Annotated[str, typer.Option("--since", metavar="TIME", help="Records since then, such as 7d.")]
_FailOn = Annotated[
    list[FailOn] | None,
    typer.Option("--fail-on", help="New verdicts that exit with 1; repeatable. Default: any."),
]
_Limit = Annotated[int, typer.Option("--limit", min=0, max=1_000_000, help="Most calls to list; all are counted.")]


def backtest(
    gate: _Gate = None,
    budgets: _Budgets = None,
    against: _Against = None,
    since: _Since = "30d",
    fail_on: _FailOn = None,
    limit: _Limit = 50,
    json: JsonOption = False,
) -> None:
    """Judge recorded tool calls again under another gate, and list those that it would decide otherwise.

    With --budgets, also list the runs that other limits of their tenants would have refused or stopped, and where.
    Nothing is called, sent or written. Connects directly to WAGGLE_KAFKA, or to what `waggle up` runs here. Exits with
    0 if no verdict changes, with 1 if one does that --fail-on names, with 2 if a file is wrong.
    """
    from services.cli.backtesting import backtest_recorded, gate_from, limits_from  # noqa: PLC0415 -- imports clients of Kafka
    from services.cli.show.backtest import document, report  # noqa: PLC0415 -- as above
    from shared.replay.backtest import Backtest  # noqa: PLC0415 -- as above

    if gate is None and budgets is None:
        raise CommandError("name what to test", "add --gate FILE or --budgets FILE", code=Exit.USAGE)

    screen = Screen(json=json)
    listed: list[CallChange] = []

    def keep(found: "CallChange") -> None:
        if len(listed) < limit:
            listed.append(found)

    def progress(done: int, total: int) -> None:
        if done % _PROGRESS == 0:
            screen.note(f"{done} of {total} runs")

    before = gate_from(against)
    found, limits = Backtest(before, gate_from(gate) if gate else before), limits_from(budgets) if budgets else None
    backtest_recorded(found, limits, parse_time_or_age(since), keep, progress)
    stopped = [*limits.stopped, *limits.days()] if limits else []
    screen.answer(document(found, listed, stopped[:limit]), lambda: report(screen, found, listed, stopped, limit))
    wanted = {FailOn.ANY} if not fail_on else set(fail_on)
    changed = {kind.value for kind in found.by_kind} | ({"deny"} if stopped else set())
    if any(FailOn.ANY in wanted or kind in wanted for kind in changed):
        raise typer.Exit(Exit.FAILED)
