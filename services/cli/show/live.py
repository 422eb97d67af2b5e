"""What is shown while a run goes on: a table that redraws itself, or one line an event."""

from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import Any, Protocol

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from services.cli.api.events import Sent
from services.cli.show.board import Board, Row
from services.cli.show.plain_output import line, spent
from services.cli.terminal import Clean, Screen

STYLES = {"done": "green", "running": "cyan", "failed": "red", "asking": "yellow", "waiting": "dim"}
MARKS = {"done": "✓", "running": "●", "failed": "✗", "asking": "?", "waiting": "·"}


class View(Protocol):
    """Shows events one after the other."""

    def shown(self) -> AbstractContextManager[Any]:
        """For as long as there are events."""

    def show(self, sent: Sent) -> None:
        """Take in the next event."""


class JsonLines:
    """One JSON document a line, as the gateway sent it."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def shown(self) -> AbstractContextManager[Any]:
        """Nothing to open."""
        return nullcontext()

    def show(self, sent: Sent) -> None:
        """Print it."""
        self._screen.document({"id": sent.id, "type": sent.type, "data": sent.data})


class Silence:
    """Shows nothing: only the end counts."""

    def shown(self) -> AbstractContextManager[Any]:
        """Nothing to open."""
        return nullcontext()

    def show(self, sent: Sent) -> None:
        """Nothing to show."""


class Lines:
    """One line an event."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._board = Board()

    def shown(self) -> AbstractContextManager[Any]:
        """Nothing to open."""
        return nullcontext()

    def show(self, sent: Sent) -> None:
        """Print its line if it is worth one."""
        if (event := sent.event) is None:
            return
        self._board.apply(event)
        if said := line(self._board, event):
            self._screen.say(said)


class Redrawn:
    """A table of the steps, redrawn four times a second; gone when the run is over."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._board = Board()

    def shown(self) -> AbstractContextManager[Any]:
        """The live table."""
        return Live(console=self._screen.console, get_renderable=self._draw, transient=True, refresh_per_second=4)

    def show(self, sent: Sent) -> None:
        """Take it in; the next redraw shows it."""
        if event := sent.event:
            self._board.apply(event)

    def _draw(self) -> Clean:
        now = datetime.now(UTC)
        since = (now - self._board.started).total_seconds() if self._board.started else 0.0
        head = f"{self._board.state}  {max(0.0, since):.0f} s  {spent(self._board.usage)}"
        return Clean(Group(Text(head, style="bold"), _table(list(self._board.rows.values()), now)))


def _table(rows: list[Row], now: datetime) -> Table:
    table = Table(box=None, padding=(0, 1), show_header=False)
    for width in (None, None, None, 8):
        table.add_column(no_wrap=True, width=width, justify="right" if width else "left")
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for row in rows:
        style = STYLES[row.status]
        again = f" #{row.attempts}" if row.attempts > 1 else ""
        status = Text(f"{MARKS[row.status]} {row.status}{again}", style=style)
        seconds = f"{row.elapsed(now):.1f} s" if row.attempts else ""
        table.add_row(status, row.agent, row.id, seconds, Text(row.doing or row.objective, style="dim"))
    return table


def view_for(screen: Screen) -> View:
    """What suits the terminal, or the pipe."""
    if screen.json:
        return JsonLines(screen)
    return Redrawn(screen) if screen.live else Lines(screen)
