"""`waggle batch`: pause, resume, cancel or stop all runs that match."""

from dataclasses import dataclass
from typing import Annotated

import typer

from schemas.api.run_batch import RunAction
from services.cli.exit_codes import EPILOGUE, CommandError, Exit
from services.cli.options import ByOption, author
from services.cli.run_batch_actions import confirm, execute, preview
from services.cli.run_filters import RunFilters
from services.cli.session import Session, gateway_command

app = typer.Typer(
    add_completion=False,
    help="Pause, resume, cancel or stop all runs that match, after a preview.",
    no_args_is_help=True,
    epilog=EPILOGUE,
)

ReasonOption = Annotated[str, typer.Option(metavar="TEXT", help="Reason, recorded with each run.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only show the runs that match.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation. Needs --expect.")]
ExpectOption = Annotated[
    int | None, typer.Option(metavar="N", min=0, help="With --yes: do nothing if more than N runs match.")
]
RateOption = Annotated[float, typer.Option(min=0.1, max=1000, help="Maximum runs per second.")]


@dataclass(frozen=True)
class Selection(RunFilters):
    """Options that select runs, and say how to act on all of them."""

    dry_run: DryRunOption = False
    yes: YesOption = False
    expect: ExpectOption = None
    rate: RateOption = 50.0
    by: ByOption = None


@app.command(epilog=EPILOGUE)
@gateway_command
def pause(session: Session, selection: Selection, reason: ReasonOption) -> None:
    """Start no further step of the runs that match until they are resumed.

    Example: waggle batch pause --agent communication --since 1h --reason "wrong template"
    """
    _act(session, "pause", selection, reason)


@app.command(epilog=EPILOGUE)
@gateway_command
def resume(session: Session, selection: Selection) -> None:
    """Resume the runs that match: paused ones, and failed ones from the step that failed.

    Example: waggle batch resume --state failed --since 2h
    """
    _act(session, "resume", selection)


@app.command(epilog=EPILOGUE)
@gateway_command
def cancel(session: Session, selection: Selection, reason: ReasonOption) -> None:
    """End the runs that match. This cannot be undone."""
    _act(session, "cancel", selection, reason)


@app.command(epilog=EPILOGUE)
@gateway_command
def stop(session: Session, selection: Selection, reason: ReasonOption) -> None:
    """Stop all calls of the runs that match immediately, as `waggle halt run ID` does for one."""
    _act(session, "stop", selection, reason)


def _act(session: Session, action: RunAction, selection: Selection, reason: str = "") -> None:
    """Show the runs that match, have the command confirmed, and send it to each."""
    if not selection.given:
        raise CommandError(
            "select runs by at least one filter, such as --state or --agent",
            "`waggle runs` with the same filters lists them",
            code=Exit.USAGE,
        )
    order = {"action": action, "filter": selection.given, "rate": selection.rate, "by": author(selection.by)}
    order |= {"reason": reason} if reason else {}
    found = preview(session, order)
    if selection.dry_run or not found.of:
        if session.screen.json:
            session.screen.document(found)
        return
    confirm(session.screen, found, selection.expect, yes=selection.yes)
    execute(session, order, found)
