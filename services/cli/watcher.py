"""Watching a run until it has ended, or until it waits for a person."""

from schemas.api.runs import RunView
from schemas.event import Moved, State
from services.cli.api.client import Gateway
from services.cli.api.events import Sent, follow
from services.cli.exit_codes import CommandError, Exit
from services.cli.show.live import View
from services.cli.show.question import show_question
from services.cli.terminal import Screen


def watch(
    gateway: Gateway, run_id: str, screen: Screen, view: View, *, fresh: bool = False, until_asked: bool = False
) -> RunView | None:
    """Show a run's events until it has ended.

    If the run waits for a person, its question is shown and watching continues; with `until_asked`, the waiting run is
    returned instead. `fresh`: the run was just submitted, and the gateway may not know it yet. Raises CommandError
    if the gateway stays unavailable, and on Ctrl-C.
    """

    def lost(error: CommandError) -> None:
        screen.note(f"{error.message}: retrying; the run continues")

    try:
        with view.shown():
            for sent in follow(gateway, run_id, lost, fresh=fresh):
                view.show(sent)
                if _asks(sent) and (waiting := _waiting(gateway, run_id)):
                    if until_asked:
                        return waiting
                    show_question(screen, waiting)
    except KeyboardInterrupt:
        message = "stopped watching; the run continues"
        raise CommandError(message, f"follow it with: waggle watch {run_id}", code=Exit.INTERRUPTED) from None
    return None


def _asks(sent: Sent) -> bool:
    event = sent.event
    return isinstance(event, Moved) and event.target is State.WAITING_HUMAN


def _waiting(gateway: Gateway, run_id: str) -> RunView | None:
    """Return the run if it still waits: the event may be an old one."""
    status = gateway.run(run_id)
    return status if status.state is State.WAITING_HUMAN else None
