"""Whether a task asks for something to be done somewhere, or only mentions the place.

By the form of a request, in seven languages (`words.toml`): a clause that begins with a word for the deed and has the
place where a request has its target, right behind that word, behind `to`, or in a list that begins there; in a sentence
without any word that may take it back. So does *Mail it to ada@example.org*; *Sum up the mail from ada@…* does not, nor
*Tell me what ada@… wants* or *Do not write to ada@…*. What is not understood is not asked for: a person decides then.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator
from importlib.resources import files
from itertools import dropwhile
from typing import NamedTuple

PLACE = "\ue000"
"""What stands in a text for the place that is asked about: a private character, which no sanitised text has."""

_LISTS = {
    name: frozenset(words.split())
    for name, words in tomllib.loads(files("shared.authorization").joinpath("words.toml").read_text()).items()
}
SEND = _LISTS["send"]
"""Words for sending somebody something."""
POST = SEND | _LISTS["post"]
"""Words for posting something to an address."""

_SENTENCES = re.compile(r"[.!?;](?=\s|$)|[。！？\n]")
_CLAUSES = re.compile(r"[,:](?=\s|$)|\s(?:and|then|und|dann|et|puis|y|luego|e|poi|en|dan)\s")
_LINK = re.compile(r"\[[^\]\n]{0,200}\]\(\s*(?:mailto:)?|mailto:", re.IGNORECASE)
_NAME = re.compile(r"[^\W\d_a-z][\w.'-]*\s+<(?=[^\s<>@]+@[^\s<>]+>)")
"""The name in `Ada <ada@example.org>`."""
_TOKENS = re.compile(rf"{PLACE}|\S+@\S+|\S+://\S+|[^\W\d_]+(?:['\-][^\W\d_]+)*")
_OTHER = "@"
"""The token of a place that is not asked about."""
_PLACES = frozenset({PLACE, _OTHER})


class Sentence(NamedTuple):
    """Something a person wrote."""

    raw: str
    folded: str


def sentences(texts: Iterable[str]) -> tuple[Sentence, ...]:
    """The sentences of some texts."""
    plain = (_NAME.sub("<", _LINK.sub(" ", text)).replace("’", "'") for text in texts)
    parts = (part for text in plain for part in _SENTENCES.split(text))
    return tuple(Sentence(part, part.casefold()) for part in parts if part.strip())


def asks_for(words: frozenset[str], sentence: str, *, address: bool) -> bool:
    """Whether a clause of the sentence, in small letters and with its place marked, asks for the deed there.

    `address`: the place is an address; before others their kind may stand, as in *delete the ticket 4711*.
    """
    if not _LISTS["taken_back"].isdisjoint(_TOKENS.findall(sentence)):
        return False
    return any(_asks(words, clause, address=address) for clause in _clauses(sentence))


def _clauses(sentence: str) -> Iterator[list[str]]:
    """Their words. What begins with one more place of a list belongs to what it is a list of."""
    clause: list[str] = []
    for piece in _CLAUSES.split(sentence):
        said = [_OTHER if "@" in token or "://" in token else token for token in _TOKENS.findall(piece)]
        if clause and not (set(said[:1]) <= _PLACES or set(said) <= _LISTS["joining"]):
            yield clause
            clause = []
        clause += said
    yield clause


def _asks(words: frozenset[str], clause: list[str], *, address: bool) -> bool:
    said = list(dropwhile(_LISTS["before"].__contains__, clause))
    if not said or said[0] not in words:
        return False
    kind = not address and len(said) > 1 and said[1] in _LISTS["articles"]
    return any(_is_target(said, at) or (kind and at == 3) for at, word in enumerate(said) if word == PLACE)


def _is_target(said: list[str], at: int) -> bool:
    """Whether what stands before the place, other places of its list left out, is the deed or leads to it."""
    while at > 1 and _lists(said, at - 1):
        at -= 1
    return at == 1 or said[at - 1] in _LISTS["to"]


def _lists(said: list[str], at: int) -> bool:
    """Whether the word is another place of a list, or joins two."""
    return said[at] in _PLACES or (said[at] in _LISTS["joining"] and said[at - 1] in _PLACES)
