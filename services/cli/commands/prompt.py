"""`waggle prompt`: the messages of one turn, word for word."""

from typing import Annotated

import typer
from rich.text import Text

from schemas.api.trace import PromptSize, Turn
from services.cli.api.chat import ChatMessage, ChatTool, ModelReply
from services.cli.options import RunArgument
from services.cli.session import Session, gateway_command
from services.cli.show.plain_output import spent, versions
from services.cli.terminal import Screen, one_line

ThoughtOption = Annotated[
    int, typer.Option(min=1, help="Number of the thought, from 1, if the agent thinks several times in a step.")
]


@gateway_command
def prompt(
    session: Session,
    run: RunArgument,
    step: Annotated[str, typer.Argument(metavar="STEP", help="Step id; or `planner`, `writer`, `reviewer`.")],
    turn: Annotated[int, typer.Argument(metavar="TURN", min=1, help="Number of the turn, from 1.")],
    thought: ThoughtOption = 1,
    handoff: Annotated[
        str | None, typer.Option(metavar="ID", help="Handoff of an earlier round of the step. Default: the latest.")
    ] = None,
    said: Annotated[
        bool, typer.Option("--said", help="Show the conversation in place of the prompt, where the prompt is packed.")
    ] = False,
) -> None:
    """Show the exact messages and tools a model received in a turn, and its reply.

    `waggle trace RUN` lists the steps and turns. Example: waggle prompt RUN research 2
    """
    which = (
        {"thought": str(thought)} | ({"handoff_id": handoff} if handoff else {}) | ({"said": "true"} if said else {})
    )
    found = session.client.turn(run, step, turn, **which)
    session.screen.answer(found, lambda: _show(session.screen, found))


def _show(screen: Screen, turn: Turn) -> None:
    if turn.packed:
        title = "the conversation as it was said; the prompt had" if turn.said else "packed"
        _section(screen, title, "\n".join(turn.packed))
    for number, message in enumerate(map(ChatMessage.model_validate, turn.messages), 1):
        _section(screen, f"{number} {message.role}", _content(message))
    functions = [ChatTool.model_validate(each).function for each in turn.tools]
    tools = "\n".join(f"{function.name}: {one_line(function.description)}" for function in functions)
    _section(screen, "tools", tools or "none")
    _section(screen, "schema of the answer", turn.result)
    if turn.versions is not None:
        _section(screen, "versions", versions(turn.versions))
    if turn.size is not None:
        _section(screen, "size of the prompt", _size(turn.size))
    reply = ModelReply.model_validate(turn.reply)
    _section(screen, f"reply of {one_line(reply.model)}, {spent(reply.usage)}", _reply(reply))


def _section(screen: Screen, title: str, content: str) -> None:
    screen.say(Text(f"── {one_line(title)}"), style="bold")
    screen.say(Text(f"{content}\n"))


def _size(size: PromptSize) -> str:
    about = "about " if size.estimated else ""
    kind = " (estimated: no tokenizer of the model is set)" if size.estimated else ""
    return f"{about}{size.tokens} tokens of {size.limit} in a context of {size.window}{kind}"


def _content(message: ChatMessage) -> str:
    calls = [f"calls {call.function.name} {call.function.arguments}" for call in message.tool_calls]
    return "\n".join([*([message.content] if message.content else []), *calls])


def _reply(reply: ModelReply) -> str:
    calls = [f"calls {call.name} {call.arguments}" for call in reply.tool_requests]
    return "\n".join([*([reply.content] if reply.content else []), *calls])
