"""Redriving and discarding dead letters, one or many, with their outcomes shown."""

from collections.abc import Iterator
from typing import Any

import typer

from schemas.dead import DeadLetterHandled
from services.cli.api.client import AGAIN, UnreachableError
from services.cli.exit_codes import CommandError, Exit
from services.cli.session import Session
from services.cli.show.dead_letters import Letter, Progress, describe, show_progress, truncation
from services.cli.terminal import Screen, one_line


def handle_one(session: Session, name: str, verb: str, order: dict[str, Any], *, dry_run: bool) -> None:
    """Redrive or discard one dead letter; in a dry run, show what would be done."""
    if dry_run:
        _preview(session.screen, session.client.dead_letter(name), verb, again=bool(order.get("again")))
        return
    found = session.client.handle(name, verb, **order)
    session.screen.answer(found, lambda: session.screen.say(_handled(name, DeadLetterHandled.model_validate(found))))


def _preview(screen: Screen, found: dict[str, Any], verb: str, *, again: bool) -> None:
    """Show what would be done. Raises CommandError if the dead letter was handled before."""
    letter = Letter.model_validate(found)
    if letter.handled and not again:
        raise CommandError(_handled(letter.name, letter.handled), AGAIN, code=Exit.ALREADY)
    where = f" to {letter.topic}" if verb == "redrive" else ""
    screen.answer(found, one_line(f"Would {verb} {letter.name}{where}: {letter.message} [{letter.error}]"))


def _handled(name: str, handled: DeadLetterHandled) -> str:
    return f"{one_line(name)} was {describe(handled)}"


def handle_many(session: Session, verb: str, order: dict[str, Any]) -> None:
    """Redrive or discard many, showing each outcome at once. Exits with 1 if one failed or was not reached."""
    stream = session.client.handle_many(verb, **order)
    selection = next(stream, {})
    try:
        results = list(_shown(session.screen, stream))
    except UnreachableError as lost:
        lost.action = "what was done is recorded; repeat the command to continue with the rest"
        raise
    _show_summary(session.screen, selection, results)
    if len(results) < selection.get("of", 0) or any(each.outcome == "failed" for each in results):
        raise typer.Exit(Exit.FAILED)


def _shown(screen: Screen, stream: Iterator[dict[str, Any]]) -> Iterator[Progress]:
    """Show each outcome as it arrives, and yield it."""
    for each in stream:
        progress = Progress.model_validate(each)
        show_progress(screen, progress)
        yield progress


def _show_summary(screen: Screen, selection: dict[str, Any], results: list[Progress]) -> None:
    if screen.json:
        screen.document({**selection, "letters": [each.model_dump(mode="json") for each in results]})
    elif not results:
        screen.say("No open dead letter matches.")
    if not selection.get("complete", True):
        screen.note(truncation(selection["not_looked_at"]))
