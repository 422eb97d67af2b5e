"""Sections of a document, and the one that matches a search."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

Piece = TypeVar("Piece")
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and its text."""

    heading: str
    body: str

    @property
    def plain(self) -> str:
        """Return the body on one line."""
        return " ".join(self.body.split())


def sections(text: str) -> list[Section]:
    """Split a Markdown text into sections; a text without headings is one section."""
    found = list(HEADING.finditer(text))
    if not found:
        return [Section("", text.strip())]
    ends = [match.start() for match in found[1:]] + [len(text)]
    return [Section(m[1], text[m.end() : end].strip()) for m, end in zip(found, ends, strict=True)]


def speaking_of(terms: list[str], pieces: Iterable[Piece], text: Callable[[Piece], str]) -> Piece | None:
    """Return the section with most of the terms, earlier terms weighing more; None if none has any."""
    weights = {term.lower(): 1 / (rank + 1) for rank, term in enumerate(terms)}

    def score(piece: Piece) -> float:
        held = text(piece).lower()
        return sum(weight for term, weight in weights.items() if term in held)

    best = max(pieces, key=score, default=None)
    return best if best is not None and score(best) > 0 else None
