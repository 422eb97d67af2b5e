"""Editing, redriving and discarding dead letters, with their outcomes shown."""

import json
from functools import partial
from pathlib import Path
from typing import Any

from schemas.api.dead_letters import BatchProgress, BatchSelection, DeadLetterView
from schemas.dead import DeadLetterHandled
from services.cli.api.answers import AGAIN
from services.cli.batches import exit_if_unfinished, follow
from services.cli.exit_codes import CommandError, Exit
from services.cli.json_editor import draft_of, object_in, open_in_editor
from services.cli.session import Session
from services.cli.show.dead_letters import describe, show_edit, show_progress, truncation
from services.cli.terminal import Screen, one_line


def handle_one(session: Session, name: str, verb: str, order: dict[str, Any], *, dry_run: bool) -> None:
    """Redrive or discard one dead letter; in a dry run, show what would be done."""
    if dry_run:
        _preview(session.screen, session.client.dead_letter(name), verb, again=bool(order.get("again")))
        return
    found = session.client.handle(name, verb, **order)
    session.screen.answer(found, lambda: session.screen.say(_handled(name, found)))


def _preview(screen: Screen, letter: DeadLetterView, verb: str, *, again: bool) -> None:
    """Show what would be done. Raises CommandError if the dead letter was handled before."""
    if letter.handled and not again:
        raise CommandError(_handled(letter.name, letter.handled), AGAIN, code=Exit.ALREADY)
    where = f" to {letter.topic}" if verb == "redrive" else ""
    screen.answer(letter, one_line(f"Would {verb} {letter.name}{where}: {letter.message} [{letter.error}]"))


def _handled(name: str, handled: DeadLetterHandled) -> str:
    return f"{one_line(name)} was {describe(handled)}"


def edit_one(session: Session, name: str, file: Path | None, order: dict[str, Any]) -> None:
    """Redrive one dead letter with a corrected payload, from a file or the editor. A refused draft is kept."""
    draft = _draft(session.client.dead_letter(name)) if file is None else file
    try:
        if file is None:
            open_in_editor(draft, "set EDITOR, or give the corrected payload with --file")
        found = session.client.edit(name, value=object_in(draft), **order)
    except CommandError as refused:
        if file is None:
            refused.action = f"{refused.action or 'correct it'}; the draft is kept: --file {one_line(draft)}"
        raise
    if file is None:
        draft.unlink(missing_ok=True)
    session.screen.answer(found, lambda: show_edit(session.screen, found))


def _draft(letter: DeadLetterView) -> Path:
    """Write the payload to a file. Raises CommandError for one that is not edited."""
    if letter.not_editable:
        raise CommandError(one_line(letter.not_editable), "redrive it as it is, or discard it", code=Exit.USAGE)
    return draft_of(json.loads(letter.payload.text or "{}"), "dead-letter")


def handle_many(session: Session, verb: str, order: dict[str, Any]) -> None:
    """Redrive or discard many, showing each outcome at once. Exits with 1 if one failed or was not reached."""
    selection, results = follow(
        session.client.handle_many(verb, **order),
        partial(show_progress, session.screen),
        when_lost="what was done is recorded; repeat the command to continue with the rest",
    )
    _show_summary(session.screen, selection, results)
    exit_if_unfinished(selection, results)


def _show_summary(screen: Screen, selection: BatchSelection, results: list[BatchProgress]) -> None:
    if screen.json:
        screen.document({**dict(selection), "letters": results})
    elif not results:
        screen.say("No open dead letter matches.")
    if not selection.complete:
        screen.note(truncation(selection.not_looked_at))
