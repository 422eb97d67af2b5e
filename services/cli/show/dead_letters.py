"""Dead letters: the gateway's answers, and how they are printed."""

from typing import Any

from rich.text import Text

from schemas.api.dead_letters import BatchProgress, DeadLetterEdited, DeadLetterView, SearchResult
from schemas.dead import DeadLetterHandled
from services.cli.show.render import heading, plain_table, size
from services.cli.terminal import Screen, one_line


def show_list(screen: Screen, found: SearchResult) -> None:
    """Print a table of dead letters, and a note if there may be more."""
    rows = plain_table("dead letter", "died", "error", "attempts", "tenant", "state", "message", right=3, left_again=4)
    for line in found.letters:
        rows.add_row(
            one_line(line.name),
            f"{line.at.astimezone():%m-%d %H:%M:%S}",
            one_line(line.error),
            one_line(line.attempts),
            one_line(line.tenant or ""),
            one_line(line.state),
            one_line(line.message, 80),
        )
    screen.say(rows if found.letters else "No dead letter matches.")
    if not found.complete:
        screen.note(truncation(found.not_looked_at))


def truncation(not_searched: int) -> str:
    """Return the note on a list that may be incomplete."""
    older = f"; {not_searched:,} older records were not searched" if not_searched else ""
    return f"There may be more{older}. Use --limit, --topic, --since and --until to reach them."


def show_letter(screen: Screen, letter: DeadLetterView) -> None:
    """Print everything about a dead letter."""
    screen.say(one_line(letter.name), style="bold")
    for name, value in _rows(letter).items():
        if value:
            screen.say(f"  {name:<13} {one_line(value)}")
    heading(screen, "Original headers")
    for header in letter.headers:
        screen.say(f"  {one_line(header.name)}: {one_line(header)}")
    heading(screen, "Payload")
    screen.say(str(letter.payload))


def _rows(letter: DeadLetterView) -> dict[str, Any]:
    return {
        "error": f"{letter.message} [{letter.error}]",
        "died": f"{letter.at.astimezone():%Y-%m-%d %H:%M:%S %Z}",
        "position": f"{letter.topic}/{letter.partition}/{letter.offset}",
        "attempts": letter.attempts,
        "service": " ".join(filter(None, (letter.service, letter.version))),
        "causes": "" if letter.causes is None else letter.causes,
        "tenant": letter.tenant,
        "trace": letter.trace_id,
        "key": letter.key,
        "size": size(letter.size),
        "redriven from": _origin(letter),
        "run": letter.run_id,
        "run's cost": "" if letter.cost_usd is None else f"${letter.cost_usd:,.4f}",
        "edited": ", ".join(each.path for each in letter.handled.edits) if letter.handled else "",
        "state": describe(letter.handled) if letter.handled else letter.state,
    }


def _origin(letter: DeadLetterView) -> str:
    """Return the earlier dead letter that a redrive turned into this one."""
    by = f", redriven by {letter.redriven_by}" if letter.redriven_by else ""
    return f"{letter.came_from}{by}" if letter.came_from else ""


def describe(handled: DeadLetterHandled) -> str:
    """Return the action taken, its author, time and reason, on one line."""
    because = f": {handled.reason}" if handled.reason else ""
    return one_line(f"{handled.action} by {handled.by} at {handled.at.astimezone():%Y-%m-%d %H:%M:%S %Z}{because}")


def show_edit(screen: Screen, edited: DeadLetterEdited) -> None:
    """Print the changes of an edit, and the redrive."""
    for each in edited.edits:
        values = (one_line("(absent)" if value is None else value, 60) for value in (each.before, each.after))
        screen.say(f"  {one_line(each.path)}: {' → '.join(values)}")
    if edited.more_edits:
        screen.say(f"  and {edited.more_edits:,} more")
    if edited.handled is None:
        screen.say("The payload is valid; nothing was sent.")
    else:
        screen.say(f"{one_line(edited.name)} was edited and {describe(edited.handled)}")


def show_progress(screen: Screen, progress: BatchProgress) -> None:
    """Print the outcome of one dead letter in a batch."""
    why = f": {one_line(progress.error.message)}" if progress.error else ""
    style = {"failed": "red", "skipped": "yellow"}.get(progress.outcome, "")
    line = f"{progress.n} of {progress.of}  {one_line(progress.name)}  {one_line(progress.outcome)}{why}"
    screen.say(Text(line, style=style))
