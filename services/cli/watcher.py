"""Watching a run until it has ended, or until it waits for a person."""

from schemas.api.runs import RunView
from schemas.event import Moved, State
from schemas.question_events import HelpRequested
from services.cli.api.client import Gateway
from services.cli.api.events import Sent, follow
from services.cli.exit_codes import CommandError, Exit
from services.cli.open_questions import questions_of
from services.cli.show.live import View
from services.cli.show.question import show_waiting
from services.cli.terminal import Screen


def watch(
    gateway: Gateway, run_id: str, screen: Screen, view: View, *, fresh: bool = False, until_asked: bool = False
) -> RunView | None:
    """Show a run's events until it has ended.

    If the run asks a person, its questions are shown and watching continues; with `until_asked`, the run is returned
    instead once it waits for an answer. `fresh`: the run was just submitted, and the gateway may not know it yet.
    Raises CommandError if the gateway stays unavailable, and on Ctrl-C.
    """

    def lost(error: CommandError) -> None:
        screen.note(f"{error.message}: retrying; the run continues")

    known = set[str]()
    try:
        with view.shown():
            for sent in follow(gateway, run_id, lost, fresh=fresh):
                view.show(sent)
                if _asks(sent) and (asking := _asking(gateway, run_id)):
                    if until_asked and asking.state is State.WAITING_HUMAN:
                        return asking
                    if not until_asked:
                        _note_new(screen, asking, known)
    except KeyboardInterrupt:
        message = "stopped watching; the run continues"
        raise CommandError(message, f"follow it with: waggle watch {run_id}", code=Exit.INTERRUPTED) from None
    return None


def _asks(sent: Sent) -> bool:
    event = sent.event
    return isinstance(event, HelpRequested) or (isinstance(event, Moved) and event.target is State.WAITING_HUMAN)


def _asking(gateway: Gateway, run_id: str) -> RunView | None:
    """Return the run if it still asks: the event may be an old one."""
    status = gateway.run(run_id)
    return status if questions_of(status) or status.state is State.WAITING_HUMAN else None


def _note_new(screen: Screen, asking: RunView, known: set[str]) -> None:
    """Show the open questions, unless all of them have been shown."""
    open_now = {each.asked.request_id for each in questions_of(asking)}
    if not open_now <= known or not open_now:
        show_waiting(screen, asking)
    known |= open_now
