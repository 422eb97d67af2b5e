"""`waggle watch`: follow a run."""

from services.cli import watcher
from services.cli.commands.runs import exit_with_result
from services.cli.options import RunArgument
from services.cli.session import Session, gateway_command
from services.cli.show.live import view_for


@gateway_command
def watch(session: Session, run: RunArgument) -> None:
    """Follow a run from its first event to its end. With --json, print one line per event."""
    watcher.watch(session.client, run, session.screen, view_for(session.screen))
    exit_with_result(session, run, save_to=None, document=False)
