"""Requests in a task's text: detect that it asks for an action at a place, rather than mentioning the place.

A request is matched by its form, in seven languages (`words.toml`): a clause that begins with a verb for the action and
has the place where a request has its target: right behind the verb, behind `to`, or in a list that begins there. The
sentence must have no word that may negate it. *Mail it to ada@example.org* matches; *Sum up the mail from ada@…*, *Say
what ada@… wants* and *Do not write to ada@…* do not. An unclear sentence is no request: a person decides then.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator
from importlib.resources import files
from itertools import dropwhile
from typing import NamedTuple

PLACE = "\ue000"
"""Placeholder in a text for the place in question: a private character, which no sanitised text has."""

_LISTS = {
    name: frozenset(words.split())
    for name, words in tomllib.loads(files("shared.authorization").joinpath("words.toml").read_text()).items()
}
SEND = _LISTS["send"]
"""Verbs for sending a message."""
POST = SEND | _LISTS["post"]
"""Verbs for posting to an address."""

_SENTENCES = re.compile(r"[.!?;](?=\s|$)|[。！？\n]")
_CLAUSES = re.compile(r"[,:](?=\s|$)|\s(?:and|then|und|dann|et|puis|y|luego|e|poi|en|dan)\s")
_LINK = re.compile(r"\[[^\]\n]{0,200}\]\(\s*(?:mailto:)?|mailto:", re.IGNORECASE)
_NAME = re.compile(r"[^\W\d_a-z][\w.'-]*\s+<(?=[^\s<>@]+@[^\s<>]+>)")
"""The name in `Ada <ada@example.org>`."""
_TOKENS = re.compile(rf"{PLACE}|\S+@\S+|\S+://\S+|[^\W\d_]+(?:['\-][^\W\d_]+)*")
_OTHER = "@"
"""Token of any other place."""
_PLACES = frozenset({PLACE, _OTHER})


class Sentence(NamedTuple):
    """A sentence of a person."""

    raw: str
    folded: str


def sentences(texts: Iterable[str]) -> tuple[Sentence, ...]:
    """Return the sentences of some texts."""
    plain = (_NAME.sub("<", _LINK.sub(" ", text)).replace("’", "'") for text in texts)
    parts = (part for text in plain for part in _SENTENCES.split(text))
    return tuple(Sentence(part, part.casefold()) for part in parts if part.strip())


def asks_for(words: frozenset[str], sentence: str, *, address: bool) -> bool:
    """Return true if a clause of the sentence, in lower case and with its place marked, requests the action there.

    `address`: the place is an address; other places may follow their kind, as in *delete the ticket 4711*.
    """
    if not _LISTS["taken_back"].isdisjoint(_TOKENS.findall(sentence)):
        return False
    return any(_asks(words, clause, address=address) for clause in _clauses(sentence))


def _clauses(sentence: str) -> Iterator[list[str]]:
    """Yield the words of each clause. A piece that begins with another place of a list belongs to the clause before."""
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
    """Return true if the word before the place, skipping other places of its list, is the verb or leads to it."""
    while at > 1 and _lists(said, at - 1):
        at -= 1
    return at == 1 or said[at - 1] in _LISTS["to"]


def _lists(said: list[str], at: int) -> bool:
    """Return true if the word is another place of a list, or joins two."""
    return said[at] in _PLACES or (said[at] in _LISTS["joining"] and said[at - 1] in _PLACES)
