"""The command that shows what a model was asked in one turn, word for word."""

from typing import Annotated

import typer
from rich.text import Text

from services.cli.api.models import Replied, Spoken, TurnAnswer
from services.cli.options import GatewayOption, JsonOption, RunArgument, TenantOption, connect
from services.cli.show.plain_output import spent, versions
from services.cli.terminal import Screen, one_line


def prompt(
    run: RunArgument,
    step: Annotated[str, typer.Argument(metavar="STEP", help="The step; or `planner`, `reviewer`.")],
    turn: Annotated[int, typer.Argument(metavar="TURN", min=1, help="Which turn, from 1 on.")],
    thought: Annotated[int, typer.Option(min=1, help="Which thought, if the agent thinks several times.")] = 1,
    handoff: Annotated[str | None, typer.Option(metavar="ID", help="Of an earlier round of the step.")] = None,
    gateway: GatewayOption = None,
    tenant: TenantOption = "default",
    json: JsonOption = False,
) -> None:
    """Show the exact messages and tools a model was sent in a turn, and its reply."""
    screen = Screen(json=json)
    which = {"thought": str(thought)} | ({"handoff_id": handoff} if handoff else {})
    with connect(gateway, tenant) as client:
        found = client.turn(run, step, turn, **which)
    if json:
        screen.document(found)
    else:
        _show(screen, TurnAnswer.model_validate(found))


def _show(screen: Screen, turn: TurnAnswer) -> None:
    for number, message in enumerate(turn.messages, 1):
        _section(screen, f"{number} {message.role}", _said(message))
    tools = "\n".join(f"{tool.function.name}: {one_line(tool.function.description)}" for tool in turn.tools)
    _section(screen, "tools", tools or "none")
    _section(screen, "answer must fit", turn.result)
    if turn.versions is not None:
        _section(screen, "versions", versions(turn.versions))
    _section(screen, f"reply of {one_line(turn.reply.model)}, {spent(turn.reply.usage)}", _replied(turn.reply))


def _section(screen: Screen, title: str, content: str) -> None:
    screen.say(Text(f"── {one_line(title)}"), style="bold")
    screen.say(Text(f"{content}\n"))


def _said(message: Spoken) -> str:
    calls = [f"calls {call.function.name} {call.function.arguments}" for call in message.tool_calls]
    return "\n".join([*([message.content] if message.content else []), *calls])


def _replied(reply: Replied) -> str:
    calls = [f"calls {call.name} {call.arguments}" for call in reply.tool_requests]
    return "\n".join([*([reply.content] if reply.content else []), *calls])
