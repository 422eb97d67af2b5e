"""One dead letter, or many, are dealt with and what becomes of them is shown."""

from collections.abc import Iterator
from typing import Any

import typer

from schemas.dead import DeadLetterHandled
from services.cli.api.client import AGAIN, Gateway, UnreachableError
from services.cli.exit_codes import ConsoleError, Exit
from services.cli.show.dead_letters import Letter, Progress, more, show_progress, told
from services.cli.terminal import Screen, one_line


def one(screen: Screen, client: Gateway, name: str, verb: str, order: dict[str, Any], *, dry_run: bool) -> None:
    """Deal with one dead letter, or say what would be done."""
    if dry_run:
        preview(screen, client.dead_letter(name), verb, again=bool(order.get("again")))
        return
    found = client.handle(name, verb, **order)
    if screen.json:
        screen.document(found)
    else:
        screen.say(f"{one_line(name)} was {told(DeadLetterHandled.model_validate(found))}")


def preview(screen: Screen, found: dict[str, Any], verb: str, *, again: bool) -> None:
    """What would be done. Raises ConsoleError when it was done before."""
    letter = Letter.model_validate(found)
    if letter.handled and not again:
        raise ConsoleError(f"{letter.name} was {told(letter.handled)}", AGAIN, code=Exit.ALREADY)
    if screen.json:
        screen.document(found)
    else:
        where = f" to {letter.topic}" if verb == "redrive" else ""
        screen.say(one_line(f"Would {verb} {letter.name}{where}: {letter.message} [{letter.error}]"))


def many(screen: Screen, client: Gateway, verb: str, order: dict[str, Any], which: dict[str, Any]) -> None:
    """Deal with many, showing each as it is done. Leaves with 1 when one of them failed or was not come to."""
    stream = client.handle_many(verb, **order, **which)
    selection = next(stream, {})
    try:
        results = list(shown(screen, stream))
    except UnreachableError as lost:
        lost.action = "what was done is recorded: the same command goes on with the rest"
        raise
    if screen.json:
        screen.document({**selection, "letters": [each.model_dump(mode="json") for each in results]})
    elif not results:
        screen.say("No open dead letter fits.")
    if not selection.get("complete", True):
        screen.note(more(selection["not_looked_at"]))
    if len(results) < selection.get("of", 0) or any(each.outcome == "failed" for each in results):
        raise typer.Exit(Exit.FAILED)


def shown(screen: Screen, stream: Iterator[dict[str, Any]]) -> Iterator[Progress]:
    """Each result, shown as it comes."""
    for each in stream:
        progress = Progress.model_validate(each)
        show_progress(screen, progress)
        yield progress
