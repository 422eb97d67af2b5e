"""Commands to all runs that match: preview, confirmation, and each outcome as it happens."""

import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

import typer

from schemas.api.run_batch import TYPED_ABOVE, RunBatchProgress, RunBatchSelection
from services.cli.batches import exit_if_unfinished, follow
from services.cli.exit_codes import CommandError, Exit
from services.cli.session import Session
from services.cli.show.render import show_runs
from services.cli.terminal import Screen, one_line


def preview(session: Session, order: dict[str, Any]) -> RunBatchSelection:
    """Return the runs that match, and show how many there are and the first of them."""
    with session.client.act_on_runs(**{**order, "expected": None, "dry_run": True}) as (found, _):
        pass  # a dry run has no outcomes
    if not session.screen.json and found.of:
        show_runs(session.screen, found.first, filtered=True)
        more = f", of which the first {len(found.first)} are shown" if found.of > len(found.first) else ""
        session.screen.say(f"{_runs(found.of)} match and take this command{more}.")
    elif not session.screen.json:
        session.screen.say("No run matches.")
    return found


def confirm(screen: Screen, found: RunBatchSelection, expect: int | None, *, yes: bool) -> None:
    """Require a person's confirmation, or `--yes` with the number that was expected. Raises CommandError, Abort."""
    if yes:
        if expect is None or found.of > expect:
            many = f"{_runs(found.of)} match" + ("" if expect is None else f", not {expect} at most")
            raise CommandError(f"{many}; nothing was sent", f"--yes --expect {found.of}", code=Exit.USAGE)
        return
    if screen.json or not is_attended():
        action = f"look at the preview, then add --yes --expect {found.of}"
        raise CommandError("no person is there to confirm it; nothing was sent", action, code=Exit.USAGE)
    if not _confirmed(found):
        raise CommandError("not confirmed; nothing was sent", "repeat the command", code=Exit.USAGE)


def is_attended() -> bool:
    """Return True if a person can answer."""
    return sys.stdin.isatty()


def _confirmed(found: RunBatchSelection) -> bool:
    if found.of <= TYPED_ABOVE:
        return typer.confirm(f"{found.action.capitalize()} {_runs(found.of)}?")
    typed = typer.prompt(f"To {found.action} all of them, type their number")
    return bool(str(typed).strip().replace(",", "") == str(found.of))


def execute(session: Session, order: dict[str, Any], found: RunBatchSelection) -> None:
    """Send the commands and show each outcome. Exits with 1 if one failed or was not reached."""
    selection, results = follow(
        session.client.act_on_runs(**{**order, "expected": found.of}),
        partial(_show, session.screen),
        when_lost="repeat the command to continue: runs that took it do not match any more",
    )
    _summarize(session.screen, selection, results)
    exit_if_unfinished(selection, results)


def _show(screen: Screen, line: RunBatchProgress) -> None:
    because = f": {one_line(line.error.message, 200)}" if line.error else ""
    screen.say(f"{line.n}/{line.of} {one_line(line.run_id)} {line.outcome}{because}")


def _summarize(screen: Screen, selection: RunBatchSelection, results: Sequence[RunBatchProgress]) -> None:
    if screen.json:
        screen.document({**dict(selection), "runs": list(results)})
        return
    counts = {name: sum(each.outcome == name for each in results) for name in ("accepted", "skipped", "failed")}
    screen.say(", ".join(f"{number} {name}" for name, number in counts.items() if number) + ".")
    if not selection.complete:
        screen.note("There are more: repeat the command for the next ones.")


def _runs(number: int) -> str:
    return "1 run" if number == 1 else f"{number:,} runs"
