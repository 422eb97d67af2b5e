"""Destinations of an action, and trusted texts that name or request them."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from schemas.plan import Effect
from shared.authorization.action import ToolTraits
from shared.authorization.asked import PLACE, Sentence, asks_for

_ADDRESS = re.compile(r"//|\\\\|^\s*[a-z][a-z0-9+.-]*:|@|[^\W_][\w-]*\.[^\W\d_]{2,}", re.IGNORECASE)
"""Form of a possible destination: a scheme, two slashes, a mail address, or a name with a dot in it."""
_MAIL = re.compile(r"[^@\s/\\:]+@[^@\s/\\:]+")
MOST_PLACES = 100
"""Destinations examined per call; a call with more counts as not requested."""
_JOINS_BEFORE = frozenset("@.+%/:-_")
_IDEOGRAPHS = "\u2e80"
_JOINS_AFTER = frozenset("@/%&=?#+:-_")
"""Characters, besides letters and digits, that join a name to its neighbour: `bob@example.org` is not contained in
`notbob@example.org.evil.test`.
"""


@dataclass(frozen=True, slots=True)
class Trusted:
    """Trusted sources of destinations: people's texts, and the patterns of the caller and the operator."""

    said: tuple[Sentence, ...]
    patterns: tuple[str, ...] = ()
    """`*@example.org`, `hooks.example.org`, `https://api.example.org/*`."""

    def permits(self, place: str) -> bool:
        """Return true if a pattern permits data to go there."""
        return any(_fits(pattern.casefold(), place.strip().casefold()) for pattern in self.patterns)

    def names(self, place: str) -> bool:
        """Return true if a text contains the place, whole and letter by letter, or a pattern permits it."""
        return self.permits(place) or stands_in(place.strip(), (each.raw for each in self.said))

    def asks(self, words: frozenset[str], place: str) -> bool:
        """Return true if a text requests, with one of the verbs, an action at the place, or a pattern permits it.

        Case matters in web addresses only: an attacker could encode data in it.
        """
        exact = "://" in place
        wanted = place.strip() if exact else place.strip().casefold()
        texts = (each.raw if exact else each.folded for each in self.said)
        marked = (_marked(wanted, text) for text in texts if wanted in text)
        address = exact or "@" in place
        return self.permits(place) or any(asks_for(words, text.casefold(), address=address) for text in marked)

    def names_site(self, address: str) -> bool:
        """Return true if it is the home page of a host that a text names: such an address carries no other data."""
        try:
            parts = urlsplit(address.strip().casefold())
            plain = parts.path in ("", "/") and not (parts.query or parts.fragment or parts.port or parts.username)
        except ValueError:
            return False
        return plain and parts.hostname is not None and self.names_host(parts.hostname)

    def names_host(self, host: str) -> bool:
        """Return true if a text contains the host, alone or in an address, or a pattern permits it."""
        said = any(_stands(host, each.folded, _JOINS_HOST, frozenset("-_")) for each in self.said)
        return said or self.permits(f"https://{host}/")


_JOINS_HOST = frozenset("@.-_")


def _fits(pattern: str, place: str) -> bool:
    """Return true if a place fits a pattern of its own kind: web address, mail address, host, or other."""
    if "://" in pattern:
        return _fits_address(pattern, place)
    if "@" in pattern:
        name, _, domain = pattern.partition("@")
        parts = place.partition("@")
        return bool(_MAIL.fullmatch(place)) and fnmatchcase(parts[0], name) and fnmatchcase(parts[2], domain)
    if "://" in place:
        return fnmatchcase(host_of(place) or "", pattern)
    return "@" not in place and fnmatchcase(place, pattern)


def _fits_address(pattern: str, place: str) -> bool:
    """Match scheme, host and the rest separately, so that no `*` spans two of them."""
    try:
        wanted, given = urlsplit(pattern), urlsplit(place)
        same = wanted.scheme == given.scheme and wanted.port == given.port and given.username is None
    except ValueError:
        return False
    rest = f"{given.path}?{given.query}" if given.query else given.path
    wanted_rest = f"{wanted.path}?{wanted.query}" if wanted.query else wanted.path
    return same and fnmatchcase(given.hostname or "", wanted.hostname or "") and fnmatchcase(rest, wanted_rest)


def stands_in(place: str, texts: Iterable[str]) -> bool:
    """Return true if one of the texts contains the place as a whole."""
    return any(_stands(place, text, _JOINS_BEFORE, _JOINS_AFTER) for text in texts)


def _stands(place: str, text: str, before: frozenset[str], after: frozenset[str]) -> bool:
    return next(_found(place, text, before, after), None) is not None


def _marked(place: str, text: str) -> str:
    """Return the text with each whole occurrence of the place as one mark: its dots and commas end no clause."""
    for at in reversed(list(_found(place, text, _JOINS_BEFORE, _JOINS_AFTER))):
        text = text[:at] + PLACE + text[at + len(place) :]
    return text


def _found(place: str, text: str, before: frozenset[str], after: frozenset[str]) -> Iterator[int]:
    """Yield the positions of whole occurrences, not as part of something longer. An empty place has none."""
    at = text.find(place) if place else -1
    while at >= 0:
        end = at + len(place)
        if not (at > 0 and _joins(text[at - 1], before)) and not _goes_on(text[end : end + 2], after):
            yield at
        at = text.find(place, end)


def _goes_on(following: str, joining: frozenset[str]) -> bool:
    """Return true if the two characters after a place belong to it: marks do if no space follows them."""
    ends = len(following) < 2 or following[1].isspace()
    if following[:1] in joining:
        return not ends
    return _joins(following[:1], joining) or (following[:1] == "." and following[1:].isalnum())


def _joins(letter: str, joining: frozenset[str]) -> bool:
    """Return false for letters of scripts that write words without spaces."""
    return letter in joining or (letter.isalnum() and letter < _IDEOGRAPHS)


def host_of(address: str) -> str | None:
    """Return the host of a web address, or None."""
    try:
        found = urlsplit(address.strip())
        return found.hostname.casefold() if found.hostname and found.username is None else None
    except ValueError:
        return None


def places(tool: ToolTraits, arguments: Mapping[str, Any]) -> list[str]:
    """Return the places of a call: the declared arguments, else all values; of a read-only tool, the addresses."""
    if tool.destinations is not None:
        return [leaf for name in tool.destinations for leaf in _leaves(arguments.get(name))]
    leaves = [leaf for value in arguments.values() for leaf in _leaves(value)]
    return [leaf for leaf in leaves if _ADDRESS.search(leaf)] if tool.effect is Effect.READ else leaves


def targets_of(tool: ToolTraits, arguments: Mapping[str, Any]) -> frozenset[str]:
    """Return the targets of a call: tool and place. Without declared places, all arguments together are one target."""
    found = sorted({place.strip().casefold() for place in places(tool, arguments)})
    if tool.destinations is None:
        found = [" ".join(found)]
    return frozenset(f"{tool.name} {place}"[:LONGEST_TARGET] for place in found)


LONGEST_TARGET = 500
"""Maximum characters of a target."""

MOST_TARGETS = 20
"""Targets that the record of a call keeps."""


def _leaves(value: Any) -> Iterator[str]:
    """Yield every value in some arguments as text, and the names in objects; booleans are omitted."""
    match value:
        case None | bool():
            return
        case dict():
            for name, inner in value.items():
                yield str(name)
                yield from _leaves(inner)
        case list() | tuple():
            for inner in value:
                yield from _leaves(inner)
        case _:
            yield str(value)
