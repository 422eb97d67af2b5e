"""`waggle submit`: hand in a task, watch it, show what came of it."""

import sys
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer
from pydantic import ValidationError

from schemas.task import Attachment, Priority, Shape, Task, TaskContext
from services.cli import watcher
from services.cli.api import files
from services.cli.api.client import Gateway
from services.cli.commands.reading import SaveOption, leave
from services.cli.exit_codes import ConsoleError, Exit
from services.cli.options import GatewayOption, JsonOption, TenantOption, connect
from services.cli.show.live import Silence, view_for
from services.cli.terminal import Screen, one_line

AttachOption = Annotated[
    list[Path] | None, typer.Option(metavar="PATH", help="A file, or a folder with all its files; may be repeated.")
]
ConstraintOption = Annotated[
    list[str] | None, typer.Option(metavar="TEXT", help="A rule the result must keep; may be repeated.")
]
DestinationOption = Annotated[
    list[str] | None,
    typer.Option(metavar="PLACE", help="An address or host data may go to, besides those the text names; repeatable."),
]
DeadlineOption = Annotated[
    str | None, typer.Option(metavar="TIME", help="When the result is of no use any more: 2026-03-31T17:00.")
]


class OnTrouble(StrEnum):
    """What becomes of a run whose planning or review cannot succeed."""

    FAIL = "fail"
    WAIT = "wait"


def submit(
    text: Annotated[str, typer.Argument(help="What is to be achieved, in plain words; - reads it from stdin.")],
    attach: AttachOption = None,
    shape: Annotated[Shape | None, typer.Option(help="How agents work together; the default is auto.")] = None,
    agent: Annotated[str | None, typer.Option(metavar="NAME", help="The one agent to use (shape single).")] = None,
    constraint: ConstraintOption = None,
    destination: DestinationOption = None,
    key: Annotated[str | None, typer.Option(help="The same key twice is the same run.")] = None,
    deadline: DeadlineOption = None,
    seconds: Annotated[
        float | None, typer.Option(help="Seconds it may take; else what the tenant's tasks get.")
    ] = None,
    priority: Annotated[Priority, typer.Option(help="How urgent beside your other tasks.")] = Priority.NORMAL,
    on_trouble: Annotated[OnTrouble, typer.Option(help="When planning or review cannot succeed.")] = OnTrouble.FAIL,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Call no tool that changes anything.")] = False,
    session: Annotated[str | None, typer.Option(help="Ties tasks of one conversation together.")] = None,
    wait: Annotated[bool, typer.Option(help="Watch it and show the result, or only hand it in.")] = True,
    save: SaveOption = None,
    gateway: GatewayOption = None,
    tenant: TenantOption = "default",
    json: JsonOption = False,
) -> None:
    """Hand in a task, show its steps as they happen, and end with the result."""
    fields: dict[str, object] = {
        "objective": _from_stdin() if text == "-" else text,
        "shape": shape or (Shape.SINGLE if agent else Shape.AUTO),
        "agent": agent,
        "constraints": constraint or [],
        "destinations": destination or [],
        "budget": {} if seconds is None else {"seconds": seconds},
        "deadline": moment(deadline) if deadline else None,
        "tenant": tenant,
        "priority": priority,
        "on_trouble": on_trouble.value,
        "dry_run": dry_run,
        "session": session,
        "idempotency_key": key,
    }
    task = checked({name: value for name, value in fields.items() if value is not None})
    screen = Screen(json=json)
    with connect(gateway, tenant) as client:
        hand_in(screen, client, with_files(task, files.attach(client, attach or [])), wait=wait, save_to=save)


def _from_stdin() -> str:
    try:
        return sys.stdin.read()
    except UnicodeDecodeError:
        raise ConsoleError("what comes from stdin is no UTF-8 text", "attach it instead", code=Exit.USAGE) from None


def moment(text: str) -> datetime:
    """An ISO time; without an offset, the local one. Raises ConsoleError."""
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        raise ConsoleError(f"`{one_line(text)}` is no time", "for example 2026-03-31T17:00", code=Exit.USAGE) from None


def checked(fields: dict[str, object]) -> Task:
    """The task of these fields. Raises ConsoleError that names the field that is wrong."""
    try:
        return Task.model_validate(fields)
    except ValidationError as wrong:
        error = wrong.errors()[0]
        name = ".".join(str(part) for part in error["loc"]) or "the task"
        problem = error["msg"].removeprefix("Value error, ")
        raise ConsoleError(f"{name}: {problem}", "waggle submit --help", code=Exit.USAGE) from None


def with_files(task: Task, attachments: list[Attachment]) -> Task:
    """The task with attachments."""
    return task.model_copy(update={"context": TaskContext(attachments=attachments)}) if attachments else task


def hand_in(screen: Screen, client: Gateway, task: Task, *, wait: bool, save_to: Path | None) -> None:
    """Hand in a task; watch it if that is wanted. Leaves with the exit code of how it ended."""
    accepted = client.submit(task, task.idempotency_key or uuid4().hex)
    run_id = str(accepted["run_id"])
    if not wait:
        _tell_accepted(screen, accepted, run_id)
        return
    if not screen.json:
        screen.say(f"Run {one_line(run_id)}", style="bold")
    view = Silence() if screen.json else view_for(screen)
    if waiting := watcher.watch(client, run_id, screen, view, fresh=True, until_asked=True):
        if screen.json:
            screen.document(client.run(run_id))
        watcher.tell_question(screen, waiting)
        raise typer.Exit(Exit.WAITING)
    leave(screen, client, run_id, save_to=save_to, document=screen.json)


def _tell_accepted(screen: Screen, accepted: dict[str, object], run_id: str) -> None:
    if screen.json:
        screen.document(accepted)
    else:
        screen.say(f"Run {one_line(run_id)}: waggle watch {one_line(run_id)}")
