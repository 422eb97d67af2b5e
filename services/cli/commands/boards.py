"""`waggle board` and `waggle claims`: what agents of a run share, and which resources runs hold."""

import json
from typing import Annotated

import typer
from rich.text import Text

from schemas.api.boards import BoardView
from schemas.board import BoardEntry, Claim
from services.cli.options import ByOption, RunArgument, author
from services.cli.session import Session, gateway_command
from services.cli.terminal import Screen, clean, one_line

LONGEST = 300
"""Characters of contents in a list of entries."""

KeyArgument = Annotated[
    str | None, typer.Argument(metavar="KEY", help="Show this entry in full, of each kind, with all its versions.")
]

claims = typer.Typer(add_completion=False, no_args_is_help=True)


@gateway_command
def board(session: Session, run: RunArgument, key: KeyArgument = None) -> None:
    """Show the board of a run: findings, artefacts and questions that its agents share, and its claims.

    Example: waggle board RUN "exchange rate"
    """
    found = session.client.board(run) if key is None else _history(session, run, key)
    session.screen.answer(found, lambda: _show(session.screen, found, whole=key is not None))


def _history(session: Session, run: str, key: str) -> BoardView:
    """Return all versions of the entries with that key."""
    latest = session.client.board(run, key=key)
    kinds = [each.kind for each in latest.entries]
    versions = [session.client.board(run, key=key, kind=kind, history="true").entries for kind in kinds]
    entries = [each for of_kind in versions for each in of_kind]
    return latest.model_copy(update={"entries": entries, "claims": []})


def _show(screen: Screen, found: BoardView, *, whole: bool) -> None:
    if not found.entries and not found.claims:
        screen.say("The board has no entry of that key." if whole else "Nothing is on the board.")
    for entry in found.entries:
        screen.say(Text(_title(entry)), style="bold")
        screen.say(Text(_content(entry, whole=whole)))
    for claim in found.claims:
        screen.say(Text(f"holds {_line(claim)}"))
    if found.withheld:
        screen.note("contents are withheld: they need the role `contents`")


def _title(entry: BoardEntry) -> str:
    by = f"{entry.agent} in {entry.step}"
    return f"{entry.kind} {one_line(entry.key)}  version {entry.version}  {entry.at:%H:%M:%S}Z  by {one_line(by)}"


def _content(entry: BoardEntry, *, whole: bool) -> str:
    said = entry.content if isinstance(entry.content, str) else json.dumps(entry.content, ensure_ascii=False)
    lines = [clean(said) if whole else one_line(said, LONGEST)]
    lines += [f"because: {one_line(entry.reason)}"] if entry.reason else []
    lines += [f"after reading: {one_line(', '.join(entry.taint))}"] if entry.taint else []
    return "\n".join(f"  {line}" for each in lines for line in each.splitlines())


@claims.command("list")
@gateway_command
def list_claims(session: Session) -> None:
    """List the resources that runs hold, with run, agent, time and reason."""
    found = session.client.claims()
    session.screen.answer(found, Text("\n".join(map(_line, found.claims)) or "No run holds anything."))


@claims.command("release")
@gateway_command
def release_claim(
    session: Session,
    resource: Annotated[str, typer.Argument(metavar="RESOURCE", help="As `waggle claims list` names it.")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Reason, recorded in the run.")],
    number: Annotated[int | None, typer.Option(help="Only the claim of this number, not a later one.")] = None,
    by: ByOption = None,
) -> None:
    """End a claim, so that other runs may have the resource. The run that holds it is not stopped.

    Example: waggle claims release "customer 42" --reason "its run is stuck"
    """
    order = {"resource": resource, "reason": reason, "by": author(by)} | ({"number": number} if number else {})
    sent = session.client.release_claim(**order)
    session.screen.answer(sent, f"The release is on its way: waggle watch {one_line(sent.run_id)}")


def _line(claim: Claim) -> str:
    times = f"since {claim.since:%Y-%m-%d %H:%M:%S}Z until {claim.until:%H:%M:%S}Z"
    by = f"by {one_line(claim.agent)} of {one_line(claim.run_id)}"
    return f"{one_line(claim.resource)}  {times}  {by}" + (f": {one_line(claim.reason)}" if claim.reason else "")
