"""`waggle dead`: what nobody could work on is looked at, put back, thrown away."""

import time
from datetime import datetime
from typing import Annotated, Any

import typer

from services.console.answers import DeadLetterLine
from services.console.client import Gateway
from services.console.commands.steering import ByOption, name_of
from services.console.exits import ConsoleError, Exit
from services.console.options import ErrorsToExits, GatewayOption, JsonOption, connect
from services.console.render import show_dead_letter, show_dead_letters
from services.console.text import Screen, one_line

dead = typer.Typer(
    cls=ErrorsToExits,
    help="Dead letters: records nobody could work on. Look at them, put them back, throw them away.",
    no_args_is_help=True,
)

NamesArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[NAME]...", help="Which; else all open ones that the options describe.")
]
TopicOption = Annotated[str | None, typer.Option(help="Where the record was, such as tasks or agents.data.")]
ErrorOption = Annotated[str | None, typer.Option(metavar="CODE", help="What kind of failure it was.")]
OwnerOption = Annotated[str, typer.Option("--tenant", metavar="NAME", help="Whose they are; else all tenants'.")]
SinceOption = Annotated[datetime | None, typer.Option(help="Given up at or after this moment (UTC).")]
UntilOption = Annotated[datetime | None, typer.Option(help="Given up before this moment (UTC).")]
AllOption = Annotated[bool, typer.Option("--all", help="All open ones, without any description.")]
DryOption = Annotated[bool, typer.Option("--dry-run", help="Only say which they are.")]
LimitOption = Annotated[int, typer.Option(min=1, max=1_000, help="How many at most.")]


@dead.command("list")
def list_(
    topic: TopicOption = None,
    error: ErrorOption = None,
    tenant: OwnerOption = "",
    since: SinceOption = None,
    until: UntilOption = None,
    state: Annotated[str, typer.Option(help="open, handled or all.")] = "open",
    limit: LimitOption = 50,
    gateway: GatewayOption = None,
    json: JsonOption = False,
) -> None:
    """List dead letters, the newest first."""
    with connect(gateway, tenant) as client:
        found = client.dead_letters(**_described(topic, error, since, until), state=state, limit=str(limit))
    if json:
        Screen(json=True).document(found)
    else:
        show_dead_letters(Screen(), [DeadLetterLine.model_validate(each) for each in found])


@dead.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As `waggle dead list` names it.")],
    gateway: GatewayOption = None,
    json: JsonOption = False,
) -> None:
    """Show a dead letter: bytes, headers, why it was given up, what was done with it."""
    with connect(gateway, "") as client:
        found = client.dead_letter(name)
    if json:
        Screen(json=True).document(found)
    else:
        show_dead_letter(Screen(), found)


@dead.command()
def redrive(
    names: NamesArgument = None,
    topic: TopicOption = None,
    error: ErrorOption = None,
    tenant: OwnerOption = "",
    since: SinceOption = None,
    until: UntilOption = None,
    everything: AllOption = False,
    dry_run: DryOption = False,
    rate: Annotated[float, typer.Option(min=0.01, max=1_000, help="Records a second.")] = 10.0,
    limit: LimitOption = 1_000,
    by: ByOption = None,
    reason: Annotated[str, typer.Option(help="Why; it is kept.")] = "",
    gateway: GatewayOption = None,
    json: JsonOption = False,
) -> None:
    """Put dead letters back where they came from, as they were. What was done already does nothing again."""
    described = _described(topic, error, since, until)
    with connect(gateway, tenant) as client:
        chosen = _chosen(client, names, described, everything=everything or bool(tenant), limit=limit)
        _each(client, "redrive", chosen, {"by": name_of(by), "reason": reason}, 1 / rate, dry_run=dry_run, json=json)


@dead.command()
def discard(
    names: NamesArgument = None,
    topic: TopicOption = None,
    error: ErrorOption = None,
    tenant: OwnerOption = "",
    since: SinceOption = None,
    until: UntilOption = None,
    everything: AllOption = False,
    dry_run: DryOption = False,
    limit: LimitOption = 1_000,
    by: ByOption = None,
    reason: Annotated[str, typer.Option(help="Why; it is kept.")] = "",
    gateway: GatewayOption = None,
    json: JsonOption = False,
) -> None:
    """Throw dead letters away: they are no longer listed as open."""
    if not reason:
        raise ConsoleError("a reason is needed", "--reason says why nobody shall deal with it", code=Exit.USAGE)
    described = _described(topic, error, since, until)
    with connect(gateway, tenant) as client:
        chosen = _chosen(client, names, described, everything=everything or bool(tenant), limit=limit)
        _each(client, "discard", chosen, {"by": name_of(by), "reason": reason}, 0.0, dry_run=dry_run, json=json)


def _described(topic: str | None, error: str | None, since: datetime | None, until: datetime | None) -> dict[str, str]:
    moments = {name: f"{at.isoformat()}Z" for name, at in (("since", since), ("until", until)) if at}
    return {name: value for name, value in (("topic", topic), ("error", error)) if value} | moments


def _chosen(
    client: Gateway, names: list[str] | None, described: dict[str, str], *, everything: bool, limit: int
) -> list[str]:
    """The names that are meant. Nothing said is not everything meant."""
    if names:
        return names
    if not described and not everything:
        raise ConsoleError(
            "which dead letters?", "give names, or options that describe them, or --all", code=Exit.USAGE
        )
    return [str(each["name"]) for each in client.dead_letters(**described, state="open", limit=str(limit))]


def _each(
    client: Gateway,
    verb: str,
    names: list[str],
    order: dict[str, str],
    pause: float,
    *,
    dry_run: bool,
    json: bool,
) -> None:
    """Deal with one after the other and say how far it is. Ends with 1 if some could not be dealt with."""
    screen, refused, done = Screen(json=json), list[dict[str, Any]](), list[str]()
    for number, name in enumerate(names, 1):
        place = f"{number} of {len(names)}: {one_line(name)}"
        try:
            if not dry_run:
                client.handle_dead_letter(verb, name, order)
        except ConsoleError as error:
            refused.append({"name": name, "error": error.message})
            screen.complain(f"{place}: {one_line(error.message)}")
            continue
        done.append(name)
        screen.say(f"{place} {'would be' if dry_run else 'was'} {_DONE[verb]}")
        if not dry_run and number < len(names):
            time.sleep(pause)
    if json:
        screen.document({"names": done, "refused": refused, "dry_run": dry_run})
    elif not names:
        screen.say("There is none.")
    if refused:
        raise typer.Exit(Exit.FAILED)


_DONE = {"redrive": "put back", "discard": "discarded"}
