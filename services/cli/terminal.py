"""Text from outside, made safe for a terminal. Everything printed goes through `Screen`."""

import json
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # colours, cursor moves
    r"|\x1b[\]PX^_].*?(?:\x07|\x1b\\|\x9c|$)"  # titles, links, clipboard
    r"|\x1b[ -/]*[0-~]"  # everything shorter
    r"|\x9b[0-?]*[ -/]*[@-~]",
    re.DOTALL,
)
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]"  # also what turns text around
)


PIPED_WIDTH = 200
"""Columns of a table that goes into a pipe or a file."""


def clean(text: str) -> str:
    """The text without escape sequences, control characters and direction overrides; lines and tabs stay."""
    return _UNSEEN.sub("", _ESCAPES.sub("", text))


def one_line(value: object, limit: int = 0) -> str:
    """Some value as one clean line; with a limit, cut to so many characters."""
    line = " ".join(clean(str(value)).split())
    return line if not limit or len(line) <= limit else f"{line[: limit - 1]}…"


class Clean:
    """A renderable whose text cannot steer the terminal, whatever its parser made of what it was given."""

    def __init__(self, renderable: RenderableType) -> None:
        self._renderable = renderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for segment in console.render(self._renderable, options):
            yield segment if segment.control else Segment(clean(segment.text), segment.style)


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = PIPED_WIDTH
    return console


class Screen:
    """The one way out. With `json`, only documents go to stdout; whatever else there is to say goes to stderr."""

    def __init__(self, *, json: bool = False) -> None:
        self.json = json
        self.errors = _console(stderr=True)
        self.console = self.errors if json else _console(stderr=False)

    @property
    def live(self) -> bool:
        """Whether a person looks at it on a terminal that can be redrawn."""
        return self.console.is_terminal and not self.console.is_dumb_terminal and not self.json

    def say(self, what: RenderableType, *, style: str | None = None) -> None:
        """Print for a person. Lines are left to the terminal to wrap, so that they can be copied whole."""
        self._print(self.console, what, style)

    def busy(self, what: str) -> AbstractContextManager[object]:
        """Show that something takes a while."""
        if self.live:
            return self.console.status(what)
        self.say(what)
        return nullcontext()

    def complain(self, message: str, action: str | None = None) -> None:
        """Say on stderr what is wrong and what to do."""
        self._print(self.errors, f"waggle: {message}", "red")
        if action:
            self._print(self.errors, f"        {action}", None)

    def note(self, message: str) -> None:
        """Say something beside the result: above a live table, or on stderr."""
        self._print(self.console if self.live else self.errors, message, "yellow")

    def document(self, value: Any) -> None:
        """Print one JSON document, on one line, in ASCII: nothing in it can steer a terminal either."""
        print(json.dumps(value), flush=True)

    def _print(self, console: Console, what: RenderableType, style: str | None) -> None:
        console.print(Clean(what), style=style, soft_wrap=isinstance(what, str | Text))
