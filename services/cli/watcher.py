"""Watch a run until it has ended, or until it waits for a person."""

from schemas.event import Moved, State
from services.cli.api.client import Gateway
from services.cli.api.events import Sent, follow
from services.cli.api.models import RunStatus
from services.cli.exit_codes import ConsoleError, Exit
from services.cli.show.live import View
from services.cli.terminal import Screen, one_line


def watch(
    gateway: Gateway, run_id: str, screen: Screen, view: View, *, fresh: bool = False, until_asked: bool = False
) -> RunStatus | None:
    """Show a run's events until it has ended.

    With `until_asked`, also until it waits for a person: then the waiting run is returned. Otherwise a person is told,
    and watching goes on. Raises ConsoleError when the gateway stays away, and on Ctrl-C.
    """

    def lost(error: ConsoleError) -> None:
        screen.note(f"{error.message}: trying again; the run goes on")

    try:
        with view.shown():
            for sent in follow(gateway, run_id, lost, fresh=fresh):
                view.show(sent)
                if _asks(sent) and (waiting := _waiting(gateway, run_id)):
                    if until_asked:
                        return waiting
                    tell_question(screen, waiting)
    except KeyboardInterrupt:
        raise ConsoleError(
            "not watching any more; the run goes on", f"waggle watch {run_id}", code=Exit.INTERRUPTED
        ) from None
    return None


def tell_question(screen: Screen, waiting: RunStatus) -> None:
    """Say what a run waits for and how to answer it."""
    asked = waiting.waiting_for
    screen.note(f"The run waits for a person: {one_line(asked.question if asked else waiting.reason)}")
    for option in asked.options if asked else []:
        screen.note(f"  - {one_line(option)}")
    run = one_line(waiting.run_id)
    screen.note(f"Look: waggle approvals show {run}")
    screen.note(f"Then: waggle approvals approve {run}   or   waggle approvals reject {run} --reason 'why not'")


def _asks(sent: Sent) -> bool:
    event = sent.event
    return isinstance(event, Moved) and event.target is State.WAITING_HUMAN


def _waiting(gateway: Gateway, run_id: str) -> RunStatus | None:
    """The run as it stands if it still waits: the event may be an old one."""
    status = RunStatus.model_validate(gateway.run(run_id))
    return status if status.state is State.WAITING_HUMAN else None
