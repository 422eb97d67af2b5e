"""Where an action would send data or act, and whether that place is one that somebody trusted has named."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from schemas.plan import Effect
from shared.authorization.action import Deed
from shared.authorization.asked import PLACE, Sentence, asks_for

_ADDRESS = re.compile(r"//|\\\\|^\s*[a-z][a-z0-9+.-]*:|@|[^\W_][\w-]*\.[^\W\d_]{2,}", re.IGNORECASE)
"""What may lead somewhere: a scheme, two slashes, a mail address, a name with a dot in it."""
_MAIL = re.compile(r"[^@\s/\\:]+@[^@\s/\\:]+")
MOST_PLACES = 100
"""Of a call: one with more is not looked through, and counts as one that nobody has asked for."""
_JOINS_BEFORE = frozenset("@.+%/:-_")
_IDEOGRAPHS = "\u2e80"
_JOINS_AFTER = frozenset("@/%&=?#+:-_")
"""What may not stand next to a name in a text, beside letters and digits: `bob@example.org` does not stand in
`notbob@example.org.evil.test`."""


@dataclass(frozen=True, slots=True)
class Trusted:
    """What may name a place: what people wrote, and the patterns of the caller and the operator."""

    said: tuple[Sentence, ...]
    patterns: tuple[str, ...] = ()
    """`*@example.org`, `hooks.example.org`, `https://api.example.org/*`."""

    def permits(self, place: str) -> bool:
        """Whether a pattern says that data may go there."""
        return any(_fits(pattern.casefold(), place.strip().casefold()) for pattern in self.patterns)

    def names(self, place: str) -> bool:
        """Whether a text has it, whole and letter by letter, or a pattern permits it."""
        return self.permits(place) or stands_in(place.strip(), (each.raw for each in self.said))

    def asks(self, words: frozenset[str], place: str) -> bool:
        """Whether a text asks for the deed that the words are for to be done there, or a pattern permits it.

        Capitals count in web addresses only: whoever chooses them could write with them.
        """
        exact = "://" in place
        wanted = place.strip() if exact else place.strip().casefold()
        texts = (each.raw if exact else each.folded for each in self.said)
        marked = (_marked(wanted, text) for text in texts if wanted in text)
        address = exact or "@" in place
        return self.permits(place) or any(asks_for(words, text.casefold(), address=address) for text in marked)

    def names_site(self, address: str) -> bool:
        """Whether it is the first page of a host that a text names: the address tells nothing but that."""
        try:
            parts = urlsplit(address.strip().casefold())
            plain = parts.path in ("", "/") and not (parts.query or parts.fragment or parts.port or parts.username)
        except ValueError:
            return False
        return plain and parts.hostname is not None and self.names_host(parts.hostname)

    def names_host(self, host: str) -> bool:
        """Whether a text has the host, by itself or in an address, or a pattern permits it."""
        said = any(_stands(host, each.folded, _JOINS_HOST, frozenset("-_")) for each in self.said)
        return said or self.permits(f"https://{host}/")


_JOINS_HOST = frozenset("@.-_")


def _fits(pattern: str, place: str) -> bool:
    """Whether a place fits a pattern of its own kind: for web addresses, for mail addresses, for hosts, for others."""
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
    """Scheme, host and the rest each for itself: no `*` reaches beyond."""
    try:
        wanted, given = urlsplit(pattern), urlsplit(place)
        same = wanted.scheme == given.scheme and wanted.port == given.port and given.username is None
    except ValueError:
        return False
    rest = f"{given.path}?{given.query}" if given.query else given.path
    wanted_rest = f"{wanted.path}?{wanted.query}" if wanted.query else wanted.path
    return same and fnmatchcase(given.hostname or "", wanted.hostname or "") and fnmatchcase(rest, wanted_rest)


def stands_in(place: str, texts: Iterable[str]) -> bool:
    """Whether the place, whole, stands in one of the texts."""
    return any(_stands(place, text, _JOINS_BEFORE, _JOINS_AFTER) for text in texts)


def _stands(place: str, text: str, before: frozenset[str], after: frozenset[str]) -> bool:
    return next(_found(place, text, before, after), None) is not None


def _marked(place: str, text: str) -> str:
    """The text with the place, where it stands whole, as one mark: its dots and commas end no clause."""
    for at in reversed(list(_found(place, text, _JOINS_BEFORE, _JOINS_AFTER))):
        text = text[:at] + PLACE + text[at + len(place) :]
    return text


def _found(place: str, text: str, before: frozenset[str], after: frozenset[str]) -> Iterator[int]:
    """Where it stands with nothing beside it that would make it part of something longer. No place stands nowhere."""
    at = text.find(place) if place else -1
    while at >= 0:
        end = at + len(place)
        if not (at > 0 and _joins(text[at - 1], before)) and not _goes_on(text[end : end + 2], after):
            yield at
        at = text.find(place, end)


def _goes_on(following: str, joining: frozenset[str]) -> bool:
    """Whether the two characters behind a place belong to it: marks do where no space follows them."""
    ends = len(following) < 2 or following[1].isspace()
    if following[:1] in joining:
        return not ends
    return _joins(following[:1], joining) or (following[:1] == "." and following[1:].isalnum())


def _joins(letter: str, joining: frozenset[str]) -> bool:
    """Letters of scripts that write words without spaces join nothing."""
    return letter in joining or (letter.isalnum() and letter < _IDEOGRAPHS)


def host_of(address: str) -> str | None:
    """The host of a web address; None for one that has none."""
    try:
        found = urlsplit(address.strip())
        return found.hostname.casefold() if found.hostname and found.username is None else None
    except ValueError:
        return None


def places(tool: Deed, arguments: Mapping[str, Any]) -> list[str]:
    """The places of a call. Of a tool that says nothing of them all its values; if it only reads, the addresses."""
    if tool.destinations is not None:
        return [leaf for name in tool.destinations for leaf in _leaves(arguments.get(name))]
    leaves = [leaf for value in arguments.values() for leaf in _leaves(value)]
    return [leaf for leaf in leaves if _ADDRESS.search(leaf)] if tool.effect is Effect.READ else leaves


def deeds_of(tool: Deed, arguments: Mapping[str, Any]) -> frozenset[str]:
    """What a call does, place by place. Of a tool that declares none it is all that the call says."""
    found = sorted({place.strip().casefold() for place in places(tool, arguments)})
    if tool.destinations is None:
        found = [" ".join(found)]
    return frozenset(f"{tool.name} {place}"[:LONGEST_DEED] for place in found)


LONGEST_DEED = 500
"""Characters."""

MOST_TARGETS = 20
"""Deeds that the record of a call keeps."""


def _leaves(value: Any) -> Iterator[str]:
    """Every value in some arguments as text, and the names in objects; what can only be true or false says nothing."""
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
