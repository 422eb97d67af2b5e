"""`waggle dlq`: list, show, edit, redrive and discard dead letters."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli.dead_letter_actions import edit_one, handle_many, handle_one
from services.cli.exit_codes import EPILOGUE, CommandError, Exit
from services.cli.options import ByOption, author
from services.cli.session import Session, operator_command
from services.cli.show.dead_letters import show_letter, show_list
from services.cli.times import parse_time_or_age

app = typer.Typer(
    add_completion=False,
    help="List, show, edit, redrive and discard dead letters.",
    no_args_is_help=True,
    epilog=EPILOGUE,
)

_NAMED = "Name of a dead letter, as `waggle dlq list` shows it, such as tasks.dlt/0/17"

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help=f"{_NAMED}.")]
OneOrMany = Annotated[str | None, typer.Argument(metavar="NAME", help=f"{_NAMED}; or select several by filters.")]
TopicOption = Annotated[
    str | None, typer.Option(metavar="TOPIC", help="Only of this topic, such as tasks or agents.data.")
]
ErrorOption = Annotated[str | None, typer.Option(metavar="CODE", help="Only with this error code, such as defect.")]
OfTenantOption = Annotated[str | None, typer.Option(metavar="NAME", help="Only of this tenant. Default: all.")]
SinceOption = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Only from this time on: 2026-03-31T17:00, or an age such as 30m, 2h or 7d."),
]
UntilOption = Annotated[str | None, typer.Option(metavar="TIME", help="Only before this time, written as for --since.")]
AllOption = Annotated[bool, typer.Option("--all", help="Select all open dead letters, without filters.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="List the selection and change nothing.")]
RateOption = Annotated[float, typer.Option(min=0.1, max=1000, help="Maximum dead letters per second.")]
BatchLimitOption = Annotated[int, typer.Option(min=1, max=10_000, help="Maximum number, the newest first.")]
LimitOption = Annotated[int, typer.Option(min=1, max=10_000, help="Maximum number of dead letters.")]
FileOption = Annotated[
    Path | None,
    typer.Option(metavar="PATH", help="Corrected payload, as JSON; `-` reads stdin. Default: open VISUAL or EDITOR."),
]
CheckOption = Annotated[bool, typer.Option("--dry-run", help="Check the payload, list the changes, send nothing.")]
AgainOption = Annotated[bool, typer.Option("--again", help="Redrive NAME even if it was handled; needs --reason.")]

_REASON = "Reason, recorded with the dead letter."


class State(StrEnum):
    """State of a dead letter."""

    OPEN = "open"
    REDRIVEN = "redriven"
    DISCARDED = "discarded"
    ANY = "any"


@dataclass(frozen=True)
class Filters:
    """Options that narrow a search."""

    topic: TopicOption = None
    error: ErrorOption = None
    tenant: OfTenantOption = None
    since: SinceOption = None
    until: UntilOption = None

    @property
    def search(self) -> dict[str, Any]:
        """The given filters, as the gateway takes them. Raises CommandError for an invalid time."""
        equal = {"topic": self.topic, "error": self.error, "tenant": self.tenant}
        times = {"since": self.since, "until": self.until}
        return {name: value for name, value in equal.items() if value is not None} | {
            name: parse_time_or_age(text).isoformat() for name, text in times.items() if text
        }


@dataclass(frozen=True)
class Selection(Filters):
    """Options that select one dead letter, or several."""

    name: OneOrMany = None
    everything: AllOption = False
    limit: BatchLimitOption = 1000
    rate: RateOption = 10.0
    dry_run: DryRunOption = False


@app.command("list")
@operator_command
def list_letters(
    session: Session,
    filters: Filters,
    state: Annotated[State, typer.Option(case_sensitive=False, help="Only in this state.")] = State.OPEN,
    limit: LimitOption = 50,
) -> None:
    """List dead letters, newest first. Shows open ones unless --state is given.

    Example: waggle dlq list --topic tasks --error invalid_payload --since 2h
    """
    found = session.client.dead_letters(filters.search | {"state": state.value, "limit": limit})
    session.screen.answer(found, lambda: show_list(session.screen, found))


@app.command()
@operator_command
def show(session: Session, name: NameArgument) -> None:
    """Show a dead letter: error, original headers, payload, trace id and state."""
    found = session.client.dead_letter(name)
    session.screen.answer(found, lambda: show_letter(session.screen, found))


@app.command(epilog=EPILOGUE)
@operator_command
def redrive(
    session: Session,
    selection: Selection,
    again: AgainOption = False,
    reason: Annotated[str, typer.Option(metavar="TEXT", help=_REASON)] = "",
    by: ByOption = None,
) -> None:
    """Publish dead letters to their original topics once more: one by its name, or all open ones that match.

    Each is redriven once; a repeat is refused and shows who did it. Several are redriven in the order in which they
    failed. Example: waggle dlq redrive --error defect --since 7d --dry-run
    """
    if again and not (selection.name and reason.strip()):
        raise CommandError("--again needs a NAME and a --reason", "waggle dlq redrive --help", code=Exit.USAGE)
    _handle(session, "redrive", selection, {"by": author(by), "reason": reason}, {"again": again})


@app.command(epilog=EPILOGUE)
@operator_command
def discard(
    session: Session,
    selection: Selection,
    reason: Annotated[str, typer.Option(metavar="TEXT", help=_REASON)],
    by: ByOption = None,
) -> None:
    """Discard dead letters: one by its name, or all open ones that match. They are no longer listed as open.

    Kafka keeps them for the retention time of their topic; `waggle dlq list --state discarded` shows them.
    """
    _handle(session, "discard", selection, {"by": author(by), "reason": reason}, {})


@app.command(epilog=EPILOGUE)
@operator_command
def edit(
    session: Session,
    name: NameArgument,
    reason: Annotated[str, typer.Option(metavar="TEXT", help=_REASON)],
    file: FileOption = None,
    dry_run: CheckOption = False,
    again: AgainOption = False,
    by: ByOption = None,
) -> None:
    """Correct the payload of a dead letter and redrive it. The gateway checks it against the schema of the message.

    An edit permits nothing that the original did not permit; the changes are recorded. Example: waggle dlq edit
    tasks.dlt/0/17 --reason "misspelt field"
    """
    edit_one(session, name, file, {"by": author(by), "reason": reason, "again": again, "dry_run": dry_run})


def _handle(session: Session, verb: str, selection: Selection, order: dict[str, Any], of_one: dict[str, Any]) -> None:
    """Redrive or discard the selection. `of_one`: what the order says only of a single dead letter."""
    search = selection.search
    if (selection.name is not None) + bool(search) + selection.everything != 1:
        raise CommandError(
            "select dead letters in one way: a NAME, or filters such as --topic and --error, or --all",
            "`waggle dlq list` with the same filters shows them",
            code=Exit.USAGE,
        )
    if selection.name is not None:
        handle_one(session, selection.name, verb, order | of_one, dry_run=selection.dry_run)
    else:
        batch = {"letters": search | {"limit": selection.limit}, "rate": selection.rate, "dry_run": selection.dry_run}
        handle_many(session, verb, order | batch)
