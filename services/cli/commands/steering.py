"""Commands that change a run: decide, cancel, pause, resume."""

import getpass
from enum import StrEnum
from typing import Annotated

import typer

from services.cli.api.models import RunStatus
from services.cli.exit_codes import ConsoleError, Exit
from services.cli.options import GatewayOption, JsonOption, RunArgument, TenantOption, connect
from services.cli.terminal import Screen, one_line

ByOption = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who says so; else your user name.")]


class ApprovalChoice(StrEnum):
    """What a person may decide."""

    APPROVE = "approve"
    REJECT = "reject"


def decide(
    run: RunArgument,
    decision: Annotated[ApprovalChoice, typer.Argument(help="approve or reject.")],
    answer: Annotated[str, typer.Option(help="Message for the agent; with `reject`, the reason.")] = "",
    by: ByOption = None,
    gateway: GatewayOption = None,
    tenant: TenantOption = "default",
    json: JsonOption = False,
) -> None:
    """Answer what a run waits for."""
    with connect(gateway, tenant) as client:
        asked = RunStatus.model_validate(client.run(run)).waiting_for
        if asked is None:
            raise ConsoleError("the run waits for nobody", f"waggle status {run}", code=Exit.USAGE)
        body = {"request_id": asked.request_id, "decision": decision.value, "answer": answer}
        found = client.command(run, "decisions", by=author(by), **body)
    _confirm(found, f"Decided: {decision.value} ({one_line(asked.question, 120)})", run, json=json)


def cancel(
    run: RunArgument,
    reason: Annotated[str, typer.Option(help="Why; it is kept with the run.")],
    by: ByOption = None,
    gateway: GatewayOption = None,
    tenant: TenantOption = "default",
    json: JsonOption = False,
) -> None:
    """End a run: no further call is made for it; a call under way may still complete."""
    with connect(gateway, tenant) as client:
        found = client.command(run, "cancel", by=author(by), reason=reason)
    _confirm(found, "The run was told to end", run, json=json)


def pause(
    run: RunArgument,
    reason: Annotated[str, typer.Option(help="Why; it is kept with the run.")] = "paused from the command line",
    by: ByOption = None,
    gateway: GatewayOption = None,
    tenant: TenantOption = "default",
    json: JsonOption = False,
) -> None:
    """Begin no more steps until `waggle resume`; what is being worked on is kept."""
    with connect(gateway, tenant) as client:
        found = client.command(run, "pause", by=author(by), reason=reason)
    _confirm(found, "The run was told to pause", run, json=json)


def resume(
    run: RunArgument,
    by: ByOption = None,
    gateway: GatewayOption = None,
    tenant: TenantOption = "default",
    json: JsonOption = False,
) -> None:
    """Go on from where the run was paused, or, if it has failed, from the step that failed."""
    with connect(gateway, tenant) as client:
        found = client.command(run, "resume", by=author(by))
    _confirm(found, "The run was told to go on", run, json=json)


def author(given: str | None) -> str:
    """Who gives the command."""
    try:
        return given or getpass.getuser()
    except (KeyError, OSError):
        return "command line"


def _confirm(found: dict[str, object], said: str, run: str, *, json: bool) -> None:
    screen = Screen(json=json)
    if json:
        screen.document(found)
    else:
        screen.say(f"{said}: waggle status {one_line(run)}")
