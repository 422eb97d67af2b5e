"""`waggle memory`: what agents remember, looked at and changed by a person."""

import shlex
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from schemas.api.memories import MemoryChanged
from schemas.memory import MemoryKind
from services.cli.exit_codes import EPILOGUE, CommandError, Exit
from services.cli.forgetting import Chosen, forget_one, forget_selection
from services.cli.options import ByOption, author
from services.cli.session import Session, gateway_command
from services.cli.show.memories import show_forgetting, show_forgettings, show_memories, show_memory, show_search
from services.cli.terminal import clean, one_line
from services.cli.times import parse_time_or_age

app = typer.Typer(
    add_completion=False,
    help="List, search, correct, pin, confirm and forget what agents remember.",
    no_args_is_help=True,
    epilog=EPILOGUE,
)

LONGEST_COMMAND = 300
"""Characters of a former text that is shown within a command."""

IdArgument = Annotated[str, typer.Argument(metavar="MEMORY", help="Id, as `waggle memory list` shows it.")]
KindOption = Annotated[MemoryKind | None, typer.Option(case_sensitive=False, help="Only of this kind.")]
ReasonOption = Annotated[str, typer.Option(metavar="TEXT", help="Reason, recorded with the memory.")]
VersionOption = Annotated[
    int | None,
    typer.Option(
        "--version", min=1, metavar="N", help="Version that you looked at; another one is refused. Default: the latest."
    ),
]


@dataclass(frozen=True)
class Filters:
    """Options that narrow a list."""

    kind: KindOption = None
    subject: Annotated[str | None, typer.Option(metavar="NAME", help="Only about this person or thing.")] = None
    run: Annotated[str | None, typer.Option(metavar="RUN", help="Only from this run.")] = None
    session: Annotated[str | None, typer.Option(metavar="NAME", help="Only of this conversation.")] = None
    text: Annotated[str | None, typer.Option(metavar="WORDS", help="Only with all these words.")] = None
    candidates: Annotated[bool, typer.Option("--candidates", help="Only those that wait to be confirmed.")] = False
    tainted: Annotated[bool, typer.Option("--tainted", help="Only those from untrusted content.")] = False
    pinned: Annotated[bool, typer.Option("--pinned", help="Only pinned ones.")] = False

    @property
    def query(self) -> dict[str, Any]:
        """The given filters, as the gateway takes them."""
        given = {name: getattr(self, name) for name in ("subject", "run", "session", "text")}
        given["kind"] = self.kind.value if self.kind else None
        marks = {"candidate": self.candidates, "tainted": self.tainted, "pinned": self.pinned}
        return {name: each for name, each in given.items() if each} | {name: "true" for name, on in marks.items() if on}


@app.command("list")
@gateway_command
def list_memories(
    session: Session,
    filters: Filters,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Maximum number of memories.")] = 50,
) -> None:
    """List memories, newest first.

    Example: waggle memory list --candidates
    """
    found = session.client.memories(filters.query, limit)
    session.screen.answer(found, lambda: show_memories(session.screen, found))


@app.command()
@gateway_command
def show(session: Session, memory: IdArgument) -> None:
    """Show a memory in full: sources, changes, validity, uses, and why it has its importance."""
    found = session.client.memory(memory)
    session.screen.answer(found, lambda: show_memory(session.screen, found))


@app.command()
@gateway_command
def search(
    session: Session,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="A question or a task, as an agent would be given it.")],
    kind: KindOption = None,
    limit: Annotated[int, typer.Option(min=1, max=50, help="Maximum number of memories.")] = 10,
) -> None:
    """Show what an agent would recall for a text, best first, with scores and reasons.

    Example: waggle memory search "how does Ada want her reports?"
    """
    found = session.client.search_memories(text, limit, kind.value if kind else None)
    session.screen.answer(found, lambda: show_search(session.screen, found))


@app.command(epilog=EPILOGUE)
@gateway_command
def correct(
    session: Session,
    memory: IdArgument,
    content: Annotated[str | None, typer.Argument(metavar="TEXT", help="New content.")] = None,
    subject: Annotated[str | None, typer.Option(metavar="NAME", help="New subject.")] = None,
    importance: Annotated[float | None, typer.Option(min=0, max=1, help="New importance.")] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Not recalled from then: 2026-12-31T00:00.")] = None,
    reason: ReasonOption = "",
    version: VersionOption = None,
    by: ByOption = None,
) -> None:
    """Correct a memory. New content is your word: a fact, without a taint. Correcting it back undoes it.

    Example: waggle memory correct MEMORY "Ada prefers calls" --reason "she said so"
    """
    given = {"content": content, "subject": subject, "importance": importance}
    values: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    values |= {"valid_until": parse_time_or_age(until).isoformat()} if until else {}
    if not values:
        raise CommandError("nothing to correct is named", "give a TEXT, or --subject …", code=Exit.USAGE)
    seen = version or session.client.memory(memory).memory.version
    found = session.client.change_memory(memory, "correct", by=author(by), reason=reason, version=seen, **values)
    session.screen.answer(found, _said(found, "Corrected", _undo(found)))


@app.command(epilog=EPILOGUE)
@gateway_command
def pin(
    session: Session, memory: IdArgument, reason: ReasonOption = "", version: VersionOption = None, by: ByOption = None
) -> None:
    """Pin a memory: it never expires and is never refused for its age."""
    found = session.client.change_memory(memory, "pin", **_order(reason, version, by))
    session.screen.answer(found, _said(found, "Pinned", f"waggle memory unpin {one_line(memory)}"))


@app.command(epilog=EPILOGUE)
@gateway_command
def unpin(
    session: Session, memory: IdArgument, reason: ReasonOption = "", version: VersionOption = None, by: ByOption = None
) -> None:
    """Unpin a memory: it expires again."""
    found = session.client.change_memory(memory, "unpin", **_order(reason, version, by))
    session.screen.answer(found, _said(found, "Unpinned", f"waggle memory pin {one_line(memory)}"))


@app.command(epilog=EPILOGUE)
@gateway_command
def confirm(
    session: Session, memory: IdArgument, reason: ReasonOption = "", version: VersionOption = None, by: ByOption = None
) -> None:
    """Confirm that a memory holds: a candidate becomes a fact, without its taint; an old fact counts as fresh.

    Look at it first, with all its text: waggle memory show MEMORY
    """
    seen = version or session.client.memory(memory).memory.version
    found = session.client.change_memory(memory, "confirm", by=author(by), reason=reason, version=seen)
    said = f"{_said(found, 'Confirmed', '')} It says: {one_line(found.memory.memory.content, 300)}"
    session.screen.answer(found, said)


@app.command(epilog=EPILOGUE)
@gateway_command
def forget(
    session: Session,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Reason, recorded with the order.")],
    memory: Annotated[
        str | None, typer.Argument(metavar="MEMORY", help="Id of one memory; or select several by an option.")
    ] = None,
    subject: Annotated[str | None, typer.Option(metavar="NAME", help="All about this person or thing.")] = None,
    run: Annotated[str | None, typer.Option(metavar="RUN", help="All from this run.")] = None,
    of_session: Annotated[
        str | None, typer.Option("--session", metavar="NAME", help="All of this conversation.")
    ] = None,
    everything: Annotated[bool, typer.Option("--everything", help="All that the tenant has; see --tenant.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be forgotten, and change nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation. Selections need --expect.")] = False,
    expect: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="With --yes: do nothing if more than N memories match.")
    ] = None,
    by: ByOption = None,
) -> None:
    """Forget one memory, or all about a subject, a run, a conversation or a tenant. It cannot be undone.

    Shows first what that reaches, and asks. Example: waggle memory forget --subject Ada --reason "she asked us to"
    """
    chosen = Chosen(subject=subject, run=run, session=of_session, everything=everything)
    if bool(memory) + chosen.given != 1:
        action = "give MEMORY, or one of --subject, --run, --session and --everything"
        raise CommandError("name one memory or one selection to forget", action, code=Exit.USAGE)
    order = {"by": author(by), "reason": reason}
    if memory:
        forget_one(session, memory, order, dry_run=dry_run, yes=yes)
    else:
        forget_selection(session, chosen, order, dry_run=dry_run, yes=yes, expect=expect)


@app.command()
@gateway_command
def forgettings(
    session: Session,
    forgetting: Annotated[
        str | None, typer.Argument(metavar="FORGETTING", help="Id of one: show what each store has lost.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="Maximum number of orders.")] = 20,
) -> None:
    """List orders to forget and how far they are, or show the report of one, store by store."""
    if forgetting is None:
        page = session.client.forgettings(limit)
        session.screen.answer(page, lambda: show_forgettings(session.screen, page))
    else:
        found = session.client.forgetting(forgetting)
        session.screen.answer(found, lambda: show_forgetting(session.screen, found))


def _order(reason: str, version: int | None, by: str | None) -> dict[str, Any]:
    return {"by": author(by), "reason": reason} | ({"version": version} if version else {})


def _undo(found: MemoryChanged) -> str:
    """Return the way to undo a correction of the content: a command, or the former text if that is long."""
    if found.before is None or found.before.content == found.memory.memory.content:
        return ""
    former, id = clean(found.before.content), found.before.id
    if len(former) > LONGEST_COMMAND or "\n" in former:
        return f"correct it to its former text, which was:\n{former}"
    return f"waggle memory correct {id} {shlex.quote(former)}"


def _said(found: MemoryChanged, verb: str, undo: str) -> str:
    """Return what came of a change, and how to undo it."""
    memory = found.memory.memory
    if found.before is None:
        return f"Nothing to change: {memory.id} is as wanted, version {memory.version}."
    effect = "" if found.in_effect else " It is accepted, and shows in a moment."
    return f"{verb} {memory.id}: version {memory.version}.{effect}" + (f" To undo it: {undo}" if undo else "")
