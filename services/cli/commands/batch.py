"""`waggle batch`: pause, resume, cancel or stop all runs that match."""

from typing import Annotated, Any

import typer

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


@app.command(epilog=EPILOGUE)
@gateway_command
def pause(
    session: Session,
    filters: RunFilters,
    reason: ReasonOption,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    expect: ExpectOption = None,
    rate: RateOption = 50.0,
    by: ByOption = None,
) -> None:
    """Start no further step of the runs that match until they are resumed.

    Example: waggle batch pause --agent communication --since 1h --reason "wrong template"
    """
    order = {"action": "pause", "reason": reason, "rate": rate, "by": author(by)}
    _act(session, filters, order, dry_run=dry_run, yes=yes, expect=expect)


@app.command(epilog=EPILOGUE)
@gateway_command
def resume(
    session: Session,
    filters: RunFilters,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    expect: ExpectOption = None,
    rate: RateOption = 50.0,
    by: ByOption = None,
) -> None:
    """Resume the runs that match: paused ones, and failed ones from the step that failed.

    Example: waggle batch resume --state failed --since 2h
    """
    _act(
        session,
        filters,
        {"action": "resume", "rate": rate, "by": author(by)},
        dry_run=dry_run,
        yes=yes,
        expect=expect,
    )


@app.command(epilog=EPILOGUE)
@gateway_command
def cancel(
    session: Session,
    filters: RunFilters,
    reason: ReasonOption,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    expect: ExpectOption = None,
    rate: RateOption = 50.0,
    by: ByOption = None,
) -> None:
    """End the runs that match. This cannot be undone."""
    order = {"action": "cancel", "reason": reason, "rate": rate, "by": author(by)}
    _act(session, filters, order, dry_run=dry_run, yes=yes, expect=expect)


@app.command(epilog=EPILOGUE)
@gateway_command
def stop(
    session: Session,
    filters: RunFilters,
    reason: ReasonOption,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    expect: ExpectOption = None,
    rate: RateOption = 50.0,
    by: ByOption = None,
) -> None:
    """Stop all calls of the runs that match immediately, as `waggle halt run ID` does for one."""
    order = {"action": "stop", "reason": reason, "rate": rate, "by": author(by)}
    _act(session, filters, order, dry_run=dry_run, yes=yes, expect=expect)


def _act(
    session: Session, filters: RunFilters, order: dict[str, Any], *, dry_run: bool, yes: bool, expect: int | None
) -> None:
    if not filters.given:
        raise CommandError(
            "select runs by at least one filter, such as --state or --agent",
            "`waggle runs` with the same filters lists them",
            code=Exit.USAGE,
        )
    order |= {"filter": filters.given}
    found = preview(session, order)
    if dry_run or not found.of:
        if session.screen.json:
            session.screen.document(found)
        return
    confirm(session.screen, found, expect, yes=yes)
    execute(session, order, found)
