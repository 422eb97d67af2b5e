"""Live display of a run: a table that redraws itself, one line per event, JSON lines, or nothing."""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import Any, Protocol

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from schemas.progress import PERSON, RunProgress
from schemas.work import WorkProgress
from services.cli.api.events import Sent
from services.cli.open_questions import short_id
from services.cli.show.event_lines import line
from services.cli.show.plain_output import spent
from services.cli.show.render import STYLES
from services.cli.terminal import Clean, Screen, one_line

MARKS = {"done": "✓", "running": "●", "failed": "✗", "asking": "?", "waiting": "·"}


class View(Protocol):
    """Shows events one after the other."""

    def shown(self) -> AbstractContextManager[Any]:
        """Return the context in which events are shown."""

    def show(self, sent: Sent) -> None:
        """Show the next event."""


class JsonLines:
    """One JSON document per line, as the gateway sent it."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def shown(self) -> AbstractContextManager[Any]:
        """Return a context that does nothing."""
        return nullcontext()

    def show(self, sent: Sent) -> None:
        """Print the event."""
        self._screen.document({"id": sent.id, "type": sent.type, "data": sent.data})


class Silence:
    """Shows nothing, for commands that print only the result."""

    def shown(self) -> AbstractContextManager[Any]:
        """Return a context that does nothing."""
        return nullcontext()

    def show(self, sent: Sent) -> None:
        """Ignore the event."""


class Lines:
    """One line per event."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._progress = RunProgress()

    def shown(self) -> AbstractContextManager[Any]:
        """Return a context that does nothing."""
        return nullcontext()

    def show(self, sent: Sent) -> None:
        """Print the line of the event, if it has one."""
        if (event := sent.event) is None:
            return
        self._progress.apply(event)
        if text := line(self._progress, event):
            self._screen.say(text)


class Redrawn:
    """A table of the steps, redrawn four times a second and removed at the end."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._progress = RunProgress()

    def shown(self) -> AbstractContextManager[Any]:
        """Return the live table."""
        return Live(console=self._screen.console, get_renderable=self._draw, transient=True, refresh_per_second=4)

    def show(self, sent: Sent) -> None:
        """Fold the event; the next redraw shows it."""
        if event := sent.event:
            self._progress.apply(event)

    def _draw(self) -> Clean:
        now, progress = datetime.now(UTC), self._progress
        elapsed = (now - progress.started).total_seconds() if progress.started else 0.0
        head = f"{progress.state.value}  {max(0.0, elapsed):.0f} s  {spent(progress.usage)}"
        works = [each for each in progress.works.values() if each.agent != PERSON]
        return Clean(Group(Text(head, style="bold"), _table([*works, *progress.questions], now)))


def _table(works: Iterable[WorkProgress], now: datetime) -> Table:
    table = Table(box=None, padding=(0, 1), show_header=False)
    for width in (None, None, None, 8):
        table.add_column(no_wrap=True, width=width, justify="right" if width else "left")
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for work in works:
        number = f" #{len(work.attempts)}" if len(work.attempts) > 1 else ""
        shown = "asking" if work.agent == PERSON else work.status
        status = Text(f"{MARKS[shown]} {shown}{number}", style=STYLES[shown])
        seconds = f"{work.elapsed(now):.1f} s" if work.attempts else ""
        doing = f"{work.objective} {work.doing}" if work.agent == PERSON else work.doing or work.objective
        text = Text(one_line(doing), style="dim")
        table.add_row(status, one_line(work.agent), one_line(short_id(work.id)), seconds, text)
    return table


def view_for(screen: Screen) -> View:
    """Return the view that suits the output: JSON, a terminal or a pipe."""
    if screen.json:
        return JsonLines(screen)
    return Redrawn(screen) if screen.live else Lines(screen)
