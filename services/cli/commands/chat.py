"""`waggle chat`: a conversation with the swarm, one task after the other."""

import sys
from typing import Annotated
from uuid import uuid4

import typer

from schemas.task import Shape
from services.cli.chat import Chat
from services.cli.commands.runs import SaveOption
from services.cli.commands.submit import (
    AgentOption,
    ConstraintOption,
    DestinationOption,
    DryRunOption,
    ShapeOption,
    validated,
)
from services.cli.exit_codes import Exit
from services.cli.options import ByOption, author
from services.cli.session import Session, gateway_command
from services.cli.task_options import Limits

SessionOption = Annotated[
    str | None,
    typer.Option("--session", metavar="NAME", help="Session to continue or begin. Default: a new one of random name."),
]


@gateway_command
def chat(
    session: Session,
    limits: Limits,
    conversation: SessionOption = None,
    shape: ShapeOption = None,
    agent: AgentOption = None,
    constraint: ConstraintOption = None,
    destination: DestinationOption = None,
    dry_run: DryRunOption = False,
    save: SaveOption = None,
    by: ByOption = None,
) -> None:
    """Talk with the swarm: each line is a task that knows the ones before. /help lists the commands.

    Reads lines from stdin; if it is no terminal, ends with the exit code of the last run. Ctrl-C asks whether to cancel
    the present run, a second one leaves; the run then continues.
    """
    fields: dict[str, object] = {
        "objective": "-",
        "shape": shape or (Shape.SINGLE if agent else Shape.AUTO),
        "agent": agent,
        "constraints": constraint or [],
        "destinations": destination or [],
        "budget": limits.budget,
        "tenant": session.client.tenant,
        "dry_run": dry_run,
        "session": conversation or f"chat-{uuid4().hex[:8]}",
    }
    model = validated({name: value for name, value in fields.items() if value is not None})
    code = Chat(session, model, author(by), save, interactive=sys.stdin.isatty()).run()
    if code is not Exit.COMPLETE:
        raise typer.Exit(code)
