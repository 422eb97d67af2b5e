"""Open questions as a table of at most 100 columns, or as lines for a pipe."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from rich.table import Table

from schemas.api.runs import ApprovalView, RunSummary
from services.cli.open_questions import short_id
from services.cli.show.render import plain_table
from services.cli.terminal import Screen, one_line

WIDTH = 100
"""Columns of the table."""

COLUMNS = ("risk", "kind", "waits", "left", "run", "id", "question")


def show_inbox(screen: Screen, questions: Sequence[ApprovalView]) -> None:
    """Print one line for each question. In a pipe its cells are separated by tabs, with nothing cut and no heading."""
    now = datetime.now(UTC)
    rows = [_cells(each, now) for each in questions]
    if not screen.console.is_terminal:
        for row in rows:
            screen.row(row)
        return
    screen.say(_table(rows, min(screen.console.width, WIDTH)))


def complain_of_unreadable(screen: Screen, runs: Iterable[RunSummary]) -> None:
    """Report runs that wait for a person and cannot be read, with the remedy."""
    for each in runs:
        run = one_line(each.run_id)
        message = f"{run} waits for a person, but its record is unreadable: {one_line(each.reason, 300)}"
        screen.complain(message, f"end it with: waggle cancel {run} --reason '…'")


def _cells(question: ApprovalView, now: datetime) -> tuple[str, ...]:
    asked, proposal = question.asked, question.asked.proposal
    kind = asked.kind or ("call" if proposal else asked.about)
    risk = f"{proposal.risk}{'!' if asked.blocking else ''}" if proposal else "!" if asked.blocking else "-"
    left = age((asked.expires - now).total_seconds()) if asked.expires else "-"
    waits = age((now - asked.at).total_seconds())
    call = f"{proposal.tool}: " if proposal else ""
    number = short_id(asked.request_id).partition("-")[0]
    return risk, kind, waits, left, one_line(question.run_id), one_line(number), one_line(f"{call}{asked.question}")


def _table(rows: Sequence[tuple[str, ...]], width: int) -> Table:
    """Return the table; the question is cut so that each row is one line."""
    table = plain_table(*COLUMNS, right=2, left_again=4)
    table.width = width
    for column in table.columns:
        column.no_wrap = True
    table.columns[-1].overflow, table.columns[-1].ratio = "ellipsis", 1
    for row in rows:
        table.add_row(*row)
    return table


def age(seconds: float) -> str:
    """Format a duration by its largest unit."""
    whole = max(0, int(seconds))
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    return next((f"{whole // size} {unit}" for unit, size in units if whole >= size), "0 s")
