"""The kill switch: `waggle halt`, `waggle release`, `waggle stops`."""

from contextlib import suppress
from difflib import get_close_matches
from enum import StrEnum
from typing import Annotated

import typer

from schemas.stop import WorkStopped
from services.cli.api.client import Gateway
from services.cli.commands.steering import ByOption, author
from services.cli.exit_codes import ConsoleError, Exit
from services.cli.options import GatewayOption, JsonOption, connect
from services.cli.terminal import Screen, one_line


class Kind(StrEnum):
    """What can be stopped."""

    ALL = "all"
    TENANT = "tenant"
    AGENT = "agent"
    RUN = "run"


KindArgument = Annotated[Kind, typer.Argument(help="all, tenant, agent or run.")]
NameArgument = Annotated[str | None, typer.Argument(metavar="[NAME]", help="Which tenant, agent or run.")]


def halt(
    kind: KindArgument,
    reason: Annotated[str, typer.Option(help="Reason, shown by `waggle stops`.")],
    name: NameArgument = None,
    by: ByOption = None,
    gateway: GatewayOption = None,
    json: JsonOption = False,
) -> None:
    """Stop all model and tool calls immediately; no work is lost."""
    scope = _scope(kind, name)
    with connect(gateway, None) as client:
        found = client.stop(scope, by=author(by), reason=reason)
        if kind is Kind.AGENT:
            _doubt(client, str(name), Screen(json=json))
    _confirm(found, f"Stopped: {scope}. `waggle release {scope.replace(':', ' ')}` resumes it.", json=json)


def release(
    kind: KindArgument, name: NameArgument = None, gateway: GatewayOption = None, json: JsonOption = False
) -> None:
    """Resume what `waggle halt` has stopped."""
    scope = _scope(kind, name)
    with connect(gateway, None) as client:
        found = client.start(scope)
    said = f"Released: {scope}." if found["was"] else f"{scope} was not stopped; a stop from this moment is undone."
    _confirm(found, said, json=json)


def stops(gateway: GatewayOption = None, json: JsonOption = False) -> None:
    """List what is stopped, by whom and why."""
    screen = Screen(json=json)
    with connect(gateway, None) as client:
        found = [WorkStopped.model_validate(each) for each in client.stops()]
    if json:
        screen.document([each.model_dump(mode="json") for each in found])
    elif not found:
        screen.say("Nothing is stopped.")
    for each in () if json else found:
        screen.say(f"{each.scope}  since {each.at:%Y-%m-%d %H:%M:%S}Z  by {one_line(each.by)}: {one_line(each.reason)}")


def _doubt(client: Gateway, agent: str, screen: Screen) -> None:
    """Say so when no agent of that name has ever started: it is stopped, but another one may be meant."""
    with suppress(ConsoleError):
        known = [str(each["name"]) for each in client.agents()]
        if agent not in known:
            near = get_close_matches(agent, known, n=1)
            screen.note(f"no agent {one_line(agent)} is known{f'; is {near[0]} meant?' if near else ''}")


def _scope(kind: Kind, name: str | None) -> str:
    if (kind is Kind.ALL) != (name is None):
        wanted = "nothing more" if kind is Kind.ALL else f"the name of the {kind.value}"
        raise ConsoleError(f"`{kind.value}` needs {wanted}", f"waggle halt {kind.value} --help", code=Exit.USAGE)
    return kind.value if name is None else f"{kind.value}:{name}"


def _confirm(found: dict[str, object], said: str, *, json: bool) -> None:
    screen = Screen(json=json)
    if json:
        screen.document(found)
    else:
        screen.say(said)
