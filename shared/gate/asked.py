"""Whether a task asks for something to be done somewhere, or only mentions the place.

By words, in seven languages (`words.toml`). Whatever is not understood counts as not asked for: a person decides then.
"""

import re
import tomllib
from collections.abc import Iterator
from importlib.resources import files

PLACE = "\ue000"
"""What stands in a text for the place that is asked about: a private character, which no sanitised text has."""

_LISTS = tomllib.loads(files("shared.gate").joinpath("words.toml").read_text())
SEND = frozenset(_LISTS["send"].split())
"""Words for sending somebody something."""
POST = SEND | frozenset(_LISTS["post"].split())
"""Words for posting something to an address."""
_TAKEN_BACK = frozenset(_LISTS["taken_back"].split())
_JOINING = frozenset(_LISTS["joining"].split())

_SENTENCES = re.compile(r"[!?;\n。！？、]|\.(?=\s|$)|\s(?:but|aber|mais|pero|ma|mas|maar)\s")
_COMMA = re.compile(r",(?=\s|$)")
_WORDS = re.compile(r"[^\W\d_]+(?:['’\-][^\W\d_]+)*")
_ADDRESS = re.compile(r"\S+@\S+|\S+://\S+")


def asks_for(words: frozenset[str], text: str) -> bool:
    """Whether a clause of the text has the place and one of the words, and nothing that takes it back."""
    return any(_asks(words, clause) for clause in _clauses(text) if PLACE in clause)


def _clauses(text: str) -> Iterator[str]:
    """Between commas; but what is only one more item of a list of places belongs to what it is a list of."""
    for sentence in _SENTENCES.split(text):
        clause = ""
        for piece in _COMMA.split(sentence):
            if clause and not set(_said(piece)) <= _JOINING:
                yield clause
                clause = ""
            clause += piece
        yield clause


def _said(clause: str) -> list[str]:
    return _WORDS.findall(_ADDRESS.sub(" ", clause.replace(PLACE, " ")))


def _asks(words: frozenset[str], clause: str) -> bool:
    said = set(_said(clause))
    return not said.isdisjoint(words) and said.isdisjoint(_TAKEN_BACK)
