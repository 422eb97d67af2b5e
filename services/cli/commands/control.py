"""`waggle cancel`, `pause` and `resume`: commands that change the course of a run."""

from typing import Annotated

import typer

from services.cli.options import ByOption, RunArgument, author
from services.cli.session import Session, gateway_command
from services.cli.terminal import one_line

_REASON = "Reason, recorded with the run."


@gateway_command
def cancel(
    session: Session,
    run: RunArgument,
    reason: Annotated[str, typer.Option(metavar="TEXT", help=_REASON)],
    by: ByOption = None,
) -> None:
    """End a run. It makes no further calls; a call in progress may still complete."""
    _send(session, run, "cancel", "Cancelling", by=author(by), reason=reason)


@gateway_command
def pause(
    session: Session,
    run: RunArgument,
    reason: Annotated[str, typer.Option(metavar="TEXT", help=_REASON)] = "paused from the command line",
    by: ByOption = None,
) -> None:
    """Start no further step of a run until `waggle resume`. Steps in progress finish, and their results are kept."""
    _send(session, run, "pause", "Pausing", by=author(by), reason=reason)


@gateway_command
def resume(session: Session, run: RunArgument, by: ByOption = None) -> None:
    """Resume a paused run, or a failed one from the step that failed."""
    _send(session, run, "resume", "Resuming", by=author(by))


def _send(session: Session, run: str, verb: str, confirmation: str, **body: str) -> None:
    """Send a command to a run and confirm it."""
    found = session.client.command(run, verb, **body)
    session.screen.answer(found, f"{confirmation} {one_line(run)}. Check with: waggle status {one_line(run)}")
