"""Orders that an operator gives a run from its page: what each does, when it is offered, how it is sent."""

from collections.abc import Mapping
from dataclasses import dataclass

from schemas.api.runs import RunView
from schemas.event import ENDS, State
from services.console.gateway import Gateway


@dataclass(frozen=True, slots=True)
class Action:
    """One order; `done` is the notice after it was accepted."""

    name: str
    title: str
    effect: str
    done: str
    reasoned: bool = True
    """True if the order takes a reason."""

    danger: bool = False


ACTIONS: Mapping[str, Action] = {
    each.name: each
    for each in (
        Action(
            "pause",
            "Pause",
            "Nothing more is dispatched until the run is resumed. Work in progress is kept.",
            "The gateway accepted the pause.",
        ),
        Action(
            "resume",
            "Resume",
            "A paused run resumes where it was paused, a failed one at the step that failed.",
            "The gateway accepted the resumption.",
            reasoned=False,
        ),
        Action(
            "stop",
            "Stop calls",
            "Agents make no model or tool call for this run until the stop is lifted. Calls in progress are cancelled "
            "where possible.",
            "The gateway accepted the stop.",
            danger=True,
        ),
        Action(
            "release",
            "Lift the stop",
            "Agents resume the work of this run that was stopped.",
            "The gateway accepted the release.",
            reasoned=False,
        ),
        Action(
            "cancel",
            "Cancel",
            "The run ends, and no further call is made for it. This cannot be undone.",
            "The gateway accepted the cancellation.",
            danger=True,
        ),
    )
}


def offered(run: RunView, *, stopped: bool | None) -> list[Action]:
    """Return the orders that make sense now. `stopped`: the run itself is stopped; None if that is unknown."""
    return [action for name, action in ACTIONS.items() if _fits(name, run, stopped=stopped)]


def _fits(name: str, run: RunView, *, stopped: bool | None) -> bool:
    active = run.state not in ENDS
    match name:
        case "pause":
            return active and run.state is not State.PAUSED
        case "resume":
            return run.state in {State.PAUSED, State.FAILED}
        case "stop":
            return active and stopped is not True
        case "release":
            return stopped is True or (stopped is None and active)
    return active


async def send(gateway: Gateway, action: Action, run_id: str, body: Mapping[str, str]) -> None:
    """Send an order. Raises GatewayFailure if it is refused."""
    match action.name:
        case "stop":
            await gateway.stop(f"run:{run_id}", body)
        case "release":
            await gateway.release(f"run:{run_id}")
        case verb:
            await gateway.command(run_id, verb, body)
