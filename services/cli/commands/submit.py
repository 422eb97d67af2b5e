"""`waggle submit`: submit a task, watch the run, show its result."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer
from pydantic import ValidationError

from schemas.faults import fault_line
from schemas.task import Attachment, Priority, Shape, Task
from services.cli import watcher
from services.cli.api import files
from services.cli.commands.runs import SaveOption, exit_with_result
from services.cli.exit_codes import CommandError, Exit
from services.cli.session import Session, gateway_command
from services.cli.show.live import Silence, view_for
from services.cli.show.question import show_waiting
from services.cli.task_options import Limits, Scope, text_from_stdin
from services.cli.terminal import one_line
from services.cli.times import parse_time

TextArgument = Annotated[str, typer.Argument(metavar="TEXT", help="The objective in plain words; `-` reads stdin.")]
AttachOption = Annotated[
    list[Path] | None,
    typer.Option(metavar="PATH", help="File to attach, or folder with all its files; may be repeated."),
]
ShapeOption = Annotated[
    Shape | None, typer.Option(help="Way in which agents work together. Default: auto, or single with --agent.")
]
AgentOption = Annotated[str | None, typer.Option(metavar="NAME", help="The only agent to use, such as research.")]
ConstraintOption = Annotated[
    list[str] | None, typer.Option(metavar="TEXT", help="Rule that the result must follow; may be repeated.")
]
DestinationOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PLACE",
        help="Email address or host that data may go to, in addition to those in the text; may be repeated.",
    ),
]
KeyOption = Annotated[
    str | None,
    typer.Option(metavar="KEY", help="Idempotency key: tasks with the same key are one run. Default: a random one."),
]
DeadlineOption = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Time by which the run must end, such as 2026-03-31T17:00; else it fails."),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Call reading tools only, and list the other calls.")]
SessionOption = Annotated[
    str | None, typer.Option("--session", metavar="ID", help="Id of the conversation that the task belongs to.")
]


class OnTrouble(StrEnum):
    """Outcome for a run whose planning or review cannot succeed."""

    FAIL = "fail"
    WAIT = "wait"


MemoryOption = Annotated[bool, typer.Option(help="Let its agents recall memories of earlier runs.")]

OnTroubleOption = Annotated[
    OnTrouble, typer.Option(help="If planning or review cannot succeed: fail, or wait for a person's decision.")
]


@gateway_command
def submit(
    session: Session,
    text: TextArgument,
    scope: Scope,
    limits: Limits,
    attach: AttachOption = None,
    shape: ShapeOption = None,
    agent: AgentOption = None,
    constraint: ConstraintOption = None,
    destination: DestinationOption = None,
    key: KeyOption = None,
    deadline: DeadlineOption = None,
    priority: Annotated[Priority, typer.Option(help="Priority relative to your other tasks.")] = Priority.NORMAL,
    on_trouble: OnTroubleOption = OnTrouble.FAIL,
    dry_run: DryRunOption = False,
    memory: MemoryOption = True,
    conversation: SessionOption = None,
    wait: Annotated[bool, typer.Option(help="Watch the run and show its result, or return at once.")] = True,
    save: SaveOption = None,
) -> None:
    """Submit a task, show its steps as they happen, and end with the result.

    Example: waggle submit "What stands out in these figures?" --attach sales.csv
    """
    if text == scope.background == "-":
        raise CommandError("stdin is either the objective or the context", "give one of them as text", code=Exit.USAGE)
    fields: dict[str, object] = {
        "objective": text_from_stdin() if text == "-" else text,
        "shape": shape or (Shape.SINGLE if agent else Shape.AUTO),
        "agent": agent,
        "constraints": constraint or [],
        "destinations": destination or [],
        "budget": limits.budget,
        **scope.fields,
        "deadline": parse_time(deadline) if deadline else None,
        "tenant": session.client.tenant,
        "priority": priority,
        "on_trouble": on_trouble.value,
        "dry_run": dry_run,
        "memory": None if memory else False,
        "session": conversation,
        "idempotency_key": key,
    }
    task = validated({name: value for name, value in fields.items() if value is not None})
    task = with_files(task, files.attach(session.client, attach or []))
    accepted = session.client.submit(task, task.idempotency_key or uuid4().hex)
    if wait:
        _await_result(session, accepted.run_id, save)
    else:
        run = one_line(accepted.run_id)
        session.screen.answer(accepted, f"Submitted as {run}. Follow with: waggle watch {run}")


def validated(fields: dict[str, object]) -> Task:
    """Return the task with these fields. Raises CommandError that names the invalid field."""
    try:
        return Task.model_validate(fields)
    except ValidationError as invalid:
        problem = fault_line(invalid.errors()[0], Task, root="the task")
        raise CommandError(problem, "waggle submit --help", code=Exit.USAGE) from None


def with_files(task: Task, attachments: list[Attachment]) -> Task:
    """Return the task with attachments."""
    context = task.context.model_copy(update={"attachments": attachments})
    return task.model_copy(update={"context": context}) if attachments else task


def _await_result(session: Session, run_id: str, save_to: Path | None) -> None:
    """Watch a submitted run. Exits with the code of its result, or of a run that waits for a person."""
    screen, client = session.screen, session.client
    if not screen.json:
        screen.say(f"Run {one_line(run_id)}", style="bold")
    view = Silence() if screen.json else view_for(screen)
    if waiting := watcher.watch(client, run_id, screen, view, fresh=True, until_asked=True):
        if screen.json:
            screen.document(client.run(run_id))
        show_waiting(screen, waiting)
        raise typer.Exit(Exit.WAITING)
    exit_with_result(session, run_id, save_to=save_to)
