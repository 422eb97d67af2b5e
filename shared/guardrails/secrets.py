"""Secrets in text: keys of a known form, and values in the place of a secret.

Our own code because maintained libraries scan files: detect-secrets 1.5.0 (2024) takes lines under a global
configuration, gives no position, and needs `requests`.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator

from shared.config.key_forms import FORMS
from shared.guardrails.finding import Finding, FindingKind
from shared.guardrails.near import lowered, near

_COMPILED = tuple((what, signs.split(), re.compile(form)) for what, signs, form in FORMS)

_KEY_EDGE = re.compile(r"-----(?P<edge>BEGIN|END) (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----")
_KEY_BODY = re.compile(r"[A-Za-z0-9+/=\s]*")
_IN_URL = re.compile(r"://[^\s/:@'\"<>]{0,64}:(?P<value>[^\s/@'\"<>]{3,200})@")
_BEARER = re.compile(r"\b(?:bearer|basic)\s{1,3}(?P<value>[\w.~+/=-]{16,})", re.IGNORECASE)

_NAMES = (
    r"pass(?:word|wd|phrase)|kennwort|passwort|mot de passe|contrase(?:ñ|n)a|senha|secret|token|api[_ -]?key|"
    r"private[_ -]?key|access[_ -]?key|client[_ -]?secret|credentials?"
)
_NAMED = re.compile(
    rf"(?:{_NAMES})(?:[\"'`]?\s{{0,3}}(?:[:=]|=>|is|ist|est|lautet)\s{{0,3}}[\"'`]?)(?P<value>[^\s\"'`,;)}}\]]{{8,256}})"
)
_STEMS = (
    *("password", "passwd", "passphrase", "kennwort", "passwort", "mot de passe", "contrase", "senha"),
    *("secret", "token", "key", "credential"),
)

_NO_SECRET = re.compile(
    r"(?i)^[<$%]|[({\[\]]|\*{3}|\.{3}|x{4}|^(?:your|my|the|none|null|true|false|env|os|self|str|test)\b|"
    r"^(?:pass|password|passwort|passwd|pw|guest)\b|example|"
    r"changeme|placeholder|redacted|dummy|://"
)
"""Placeholders, references and code in the place of a value."""

LONGEST = 4_096
"""Maximum characters of a key."""

LONGEST_PEM = 20_000
"""Characters between the first and the last line of a private key in PEM form."""

LEAST_ENTROPY = 2.8
"""Bits per character. Random text of ten characters has about 3.2, an English word of that length about 2.7."""


def secrets(text: str) -> list[Finding]:
    """Find keys, passwords in addresses, private keys, and values that follow a secret's name."""
    return [*_by_form(text), *_by_place(text)]


def _by_form(text: str) -> Iterator[Finding]:
    for what, signs, pattern in _COMPILED:
        for match in near(text, signs, pattern, before=40, after=LONGEST):
            if _is_varied(match.group()):
                yield Finding(*match.span(), FindingKind.SECRET, 0.95, f"has the form of a {what}")
    if "PRIVATE KEY" in text:
        for span in _private_keys(text):
            yield Finding(*span, FindingKind.SECRET, 0.99, "is a private key")


def _private_keys(text: str) -> Iterator[tuple[int, int]]:
    """Yield the spans of PEM private keys: up to the next END, or the length of the body if it has none.

    Edges are found in one pass, so that many BEGINs without an END cost no more than other text.
    """
    edges = list(_KEY_EDGE.finditer(text))
    past = 0
    for edge, following in zip(edges, [*edges[1:], None], strict=True):
        if edge["edge"] == "BEGIN" and edge.start() >= past:
            past = _end_of_key(text, edge, following)
            yield edge.start(), past


def _end_of_key(text: str, begin: re.Match[str], following: re.Match[str] | None) -> int:
    if following is not None and following["edge"] == "END" and following.start() - begin.end() <= LONGEST_PEM:
        return following.end()
    body = _KEY_BODY.match(text, begin.end())
    return body.end() if body else begin.end()


def _by_place(text: str) -> Iterator[Finding]:
    small = lowered(text)
    for match in near(text, ["://"], _IN_URL, before=0, after=300):
        if not _NO_SECRET.search(match["value"]):
            yield Finding(*match.span("value"), FindingKind.SECRET, 0.9, "is a password in an address")
    for signs, pattern in ((_AUTHORIZATIONS, _BEARER), (_STEMS, _NAMED)):
        # Matched in lower case, read in the original case.
        for match in near(small, signs, pattern, before=20, after=LONGEST):
            value = text[slice(*match.span("value"))]
            if not _NO_SECRET.search(value) and _is_random(value):
                yield Finding(*match.span("value"), FindingKind.SECRET, 0.7, "stands where a password or key stands")


_AUTHORIZATIONS = ("bearer ", "basic ", "bearer\t", "basic\t")


def _is_random(value: str) -> bool:
    """Return true if a value looks random: several kinds of characters, and enough different ones."""
    kinds = [any(map(test, value)) for test in (str.islower, str.isupper, str.isdigit)]
    mixed = sum(kinds) + bool(re.search(r"[^\w.:/-]", value)) >= 2
    return mixed and any(map(str.isdigit, value)) and entropy(value) >= LEAST_ENTROPY


def _is_varied(value: str) -> bool:
    """Refuse `sk-xxxxxxxxxxxxxxxxxxxx` and names with hyphens, such as `sk-learn-compatible-estimators`."""
    return any(map(str.isdigit, value)) and entropy(value) >= LEAST_ENTROPY and "xxxx" not in value.lower()


def entropy(text: str) -> float:
    """Return the Shannon entropy, in bits per character."""
    total = len(text)
    return -sum(n / total * math.log2(n / total) for n in Counter(text).values()) if total else 0.0
