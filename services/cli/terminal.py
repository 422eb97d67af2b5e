"""Output to the terminal, made safe: everything printed goes through `Screen`."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from pydantic_core import to_jsonable_python
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
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]"  # includes direction overrides
)


PIPED_WIDTH = 200
"""Columns of a table that is written to a pipe or a file."""


def clean(text: str) -> str:
    """Remove escape sequences, control characters and direction overrides; keep line breaks and tabs."""
    return _INVISIBLE.sub("", _ESCAPES.sub("", text))


def one_line(value: object, limit: int = 0) -> str:
    """Return a value as one clean line, cut to `limit` characters if that is not 0."""
    line = " ".join(clean(str(value)).split())
    return line if not limit or len(line) <= limit else f"{line[: limit - 1]}…"


class Clean:
    """A renderable whose text cannot control the terminal, even if its parser produced escape sequences."""

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
    """The only way to print. With `json`, documents go to stdout and everything else to stderr."""

    def __init__(self, *, json: bool = False) -> None:
        self.json = json
        self.errors = _console(stderr=True)
        self.console = self.errors if json else _console(stderr=False)

    @property
    def live(self) -> bool:
        """True for a terminal that can be redrawn, without `json`."""
        return self.console.is_terminal and not self.console.is_dumb_terminal and not self.json

    def say(self, what: RenderableType, *, style: str | None = None) -> None:
        """Print for a person. The terminal wraps lines, so that they can be copied whole."""
        self._print(self.console, what, style)

    def row(self, cells: Iterable[str]) -> None:
        """Print one line of cells separated by tabs, for other programs."""
        print("\t".join(map(one_line, cells)), flush=True)

    def busy(self, what: str) -> AbstractContextManager[object]:
        """Show that something is in progress."""
        if self.live:
            return self.console.status(clean(what))
        self.say(what)
        return nullcontext()

    def complain(self, message: str, action: str | None = None) -> None:
        """Print a problem and its remedy to stderr."""
        self._print(self.errors, f"waggle: {message}", "red")
        if action:
            self._print(self.errors, f"        {action}", None)

    def note(self, message: str) -> None:
        """Print a remark that is not part of the result: above a live table, or to stderr."""
        self._print(self.console if self.live else self.errors, message, "yellow")

    def answer(self, document: Any, show: Callable[[], object] | RenderableType) -> None:
        """Print the document with `--json`; else the text, or what `show` prints."""
        if self.json:
            self.document(document)
        elif callable(show):
            show()
        else:
            self.say(show)

    def document(self, value: Any) -> None:
        """Print one JSON document or model, on one line, in ASCII, so that it cannot control a terminal either."""
        print(json.dumps(to_jsonable_python(value)), flush=True)

    def raw(self, text: str) -> None:
        """Print a text for a program as it is, except characters that control a terminal."""
        print(clean(text), end="", flush=True)

    def _print(self, console: Console, what: RenderableType, style: str | None) -> None:
        console.print(Clean(what), style=style, soft_wrap=isinstance(what, str | Text))
