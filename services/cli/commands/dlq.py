"""`waggle dlq`: list, show, redrive and discard dead letters."""

import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

import typer

from services.cli.commands.steering import ByOption, author
from services.cli.commands.submit import moment
from services.cli.dead_letter_batch import many, one
from services.cli.exit_codes import EPILOGUE, ConsoleError, Exit
from services.cli.options import GatewayOption, JsonOption, connect
from services.cli.show.dead_letters import DeadLetterList, Letter, show_letter, show_list
from services.cli.terminal import Screen

app = typer.Typer(
    add_completion=False,
    help="List, show, redrive and discard dead letters.",
    no_args_is_help=True,
    epilog=EPILOGUE,
)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="As `waggle dlq list` names it: tasks.dlt/0/17.")]
OneOrMany = Annotated[str | None, typer.Argument(metavar="NAME", help="One dead letter; or say which by filters.")]
TopicOption = Annotated[
    str | None, typer.Option("--topic", metavar="TOPIC", help="Only of this topic: tasks, agents.data.")
]
ErrorOption = Annotated[str | None, typer.Option("--error", metavar="CODE", help="Only with this error code.")]
OfTenantOption = Annotated[str | None, typer.Option("--tenant", metavar="NAME", help="Only of this tenant.")]
SinceOption = Annotated[
    str | None, typer.Option("--since", metavar="TIME", help="Dead since: 2026-03-31T17:00, or 2h, 30m, 7d ago.")
]
UntilOption = Annotated[str | None, typer.Option("--until", metavar="TIME", help="Dead before; as --since.")]
AllOption = Annotated[bool, typer.Option("--all", help="All that are open, without any filter.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")]
RateOption = Annotated[float, typer.Option("--rate", min=0.1, max=1000, help="So many a second, at most.")]
ManyLimit = Annotated[int, typer.Option("--limit", min=1, max=10_000, help="How many at most; the newest are taken.")]

_AGO = re.compile(r"(\d{1,9})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class State(StrEnum):
    """What became of a dead letter."""

    OPEN = "open"
    REDRIVEN = "redriven"
    DISCARDED = "discarded"
    ANY = "any"


@app.command("list")
def list_letters(
    topic: TopicOption = None,
    error: ErrorOption = None,
    tenant: OfTenantOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    state: Annotated[State, typer.Option(case_sensitive=False, help="What became of them.")] = State.OPEN,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 50,
    gateway: GatewayOption = None,
    json: JsonOption = False,
) -> None:
    """List dead letters, the newest first: those that are open, unless --state says otherwise."""
    search = filters(topic, error, tenant, since, until) | {"state": state.value, "limit": limit}
    screen = Screen(json=json)
    with connect(gateway, None) as client:
        found = client.dead_letters(search)
    if json:
        screen.document(found)
    else:
        show_list(screen, DeadLetterList.model_validate(found))


@app.command()
def show(name: NameArgument, gateway: GatewayOption = None, json: JsonOption = False) -> None:
    """Show everything about one: error, original headers, payload, trace, and what became of it."""
    screen = Screen(json=json)
    with connect(gateway, None) as client:
        found = client.dead_letter(name)
    if json:
        screen.document(found)
    else:
        show_letter(screen, Letter.model_validate(found))


@app.command(epilog=EPILOGUE)
def redrive(
    name: OneOrMany = None,
    topic: TopicOption = None,
    error: ErrorOption = None,
    tenant: OfTenantOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    everything: AllOption = False,
    limit: ManyLimit = 1000,
    rate: RateOption = 10.0,
    dry_run: DryRunOption = False,
    again: Annotated[bool, typer.Option("--again", help="Also if it was handled before; needs --reason.")] = False,
    reason: Annotated[str, typer.Option(help="Why; it is recorded.")] = "",
    by: ByOption = None,
    gateway: GatewayOption = None,
    json: JsonOption = False,
) -> None:
    """Put the original message back on its topic: one by its name, or all open ones that fit the filters.

    A letter is put back once; a repeat shows who did it. Several are put back in the order in which they failed.
    """
    if again and not (name and reason.strip()):
        raise ConsoleError("--again needs a NAME and a --reason", "waggle dlq redrive --help", code=Exit.USAGE)
    search = chosen(name, filters(topic, error, tenant, since, until), everything=everything)
    order: dict[str, Any] = {"by": author(by), "reason": reason}
    screen = Screen(json=json)
    with connect(gateway, None) as client:
        if name:
            one(screen, client, name, "redrive", order | {"again": again}, dry_run=dry_run)
        else:
            many(
                screen,
                client,
                "redrive",
                order,
                {"letters": search | {"limit": limit}, "rate": rate, "dry_run": dry_run},
            )


@app.command(epilog=EPILOGUE)
def discard(
    reason: Annotated[str, typer.Option(help="Why; it is recorded.")],
    name: OneOrMany = None,
    topic: TopicOption = None,
    error: ErrorOption = None,
    tenant: OfTenantOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    everything: AllOption = False,
    limit: ManyLimit = 1000,
    rate: RateOption = 10.0,
    dry_run: DryRunOption = False,
    by: ByOption = None,
    gateway: GatewayOption = None,
    json: JsonOption = False,
) -> None:
    """Give up one by its name, or all open ones that fit the filters: they are listed no more.

    Kafka keeps them for as long as their topic's retention says; `--state discarded` lists them.
    """
    search = chosen(name, filters(topic, error, tenant, since, until), everything=everything)
    order = {"by": author(by), "reason": reason}
    screen = Screen(json=json)
    with connect(gateway, None) as client:
        if name:
            one(screen, client, name, "discard", order, dry_run=dry_run)
        else:
            many(
                screen,
                client,
                "discard",
                order,
                {"letters": search | {"limit": limit}, "rate": rate, "dry_run": dry_run},
            )


def filters(
    topic: str | None, error: str | None, tenant: str | None, since: str | None, until: str | None
) -> dict[str, Any]:
    """The filters that were given. Raises ConsoleError for a time that is none."""
    times = {name: ago(text).isoformat() for name, text in (("since", since), ("until", until)) if text}
    given = {"topic": topic, "error": error, "tenant": tenant}
    return {name: value for name, value in given.items() if value is not None} | times


def ago(text: str) -> datetime:
    """A time: so long ago, or ISO. Raises ConsoleError."""
    if found := _AGO.fullmatch(text):
        try:
            return datetime.now(UTC) - timedelta(**{_UNITS[found[2]]: int(found[1])})
        except OverflowError:
            raise ConsoleError(f"`{text}` is too long ago", "for example 7d", code=Exit.USAGE) from None
    return moment(text)


def chosen(name: str | None, search: dict[str, Any], *, everything: bool) -> dict[str, Any]:
    """The filters, if the command says in one way which ones it is about. Raises ConsoleError."""
    if (name is not None) + bool(search) + everything != 1:
        raise ConsoleError(
            "say which: one NAME, or filters such as --topic and --error, or --all",
            "`waggle dlq list` with the same filters shows them",
            code=Exit.USAGE,
        )
    return search
