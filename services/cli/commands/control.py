"""`waggle say`, `cancel`, `pause` and `resume`: commands that change the course of a run."""

from typing import Annotated
from uuid import uuid4

import typer

from services.cli.api.answers import UnreachableError
from services.cli.options import ByOption, RunArgument, author
from services.cli.session import Session, gateway_command
from services.cli.terminal import one_line

_REASON = "Reason, recorded with the run."


@gateway_command
def say(
    session: Session,
    run: RunArgument,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The message, up to 4,000 characters.")],
    key: Annotated[
        str | None, typer.Option(metavar="KEY", help="Idempotency key: the run takes a message with this key once.")
    ] = None,
    by: ByOption = None,
) -> None:
    """Add a message to a run at work: agents read it at their next turn. It answers no question.

    Example: waggle say run-4b1c "Only the orders of March, please."
    """
    message_id = key or uuid4().hex
    try:
        found = session.client.command(run, "messages", by=author(by), text=text, message_id=message_id)
    except UnreachableError as lost:
        if lost.asked:
            lost.action = f"it may have been added: repeat the command with --key {message_id} to add it only once"
        raise
    session.screen.answer(found, f"Added to {one_line(run)}. Follow it with: waggle watch {one_line(run)}")


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
