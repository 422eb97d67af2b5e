"""`waggle sessions`: the conversations that tasks with the same session form."""

from typing import Annotated

import typer

from services.cli.options import ByOption, author
from services.cli.session import Session, gateway_command
from services.cli.show.sessions import show_session, show_sessions
from services.cli.terminal import one_line

app = typer.Typer(add_completion=False, no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(metavar="SESSION", help="Session, as `waggle sessions list` names it.")]


@app.command("list")
@gateway_command
def list_sessions(
    session: Session,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Maximum number of sessions.")] = 20,
) -> None:
    """List the latest sessions, the one with the latest turn first."""
    found = session.client.sessions(limit)
    session.screen.answer(found, lambda: show_sessions(session.screen, found))


@app.command()
@gateway_command
def show(session: Session, name: NameArgument) -> None:
    """Show the latest turns of a session, oldest first."""
    found = session.client.session(name)
    session.screen.answer(found, lambda: show_session(session.screen, found))


@app.command()
@gateway_command
def end(session: Session, name: NameArgument, by: ByOption = None) -> None:
    """End a conversation: the next task of the session starts with an empty one. Runs at work continue."""
    found = session.client.end_session(name, author(by))
    session.screen.answer(found, f"Ended {one_line(name)}. The next task of it starts with an empty conversation.")
