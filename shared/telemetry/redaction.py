"""Redaction of logs: secrets from the settings, and anything that looks like a secret."""

import re
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import BaseModel, SecretStr

from shared.config.key_forms import FORMS, KEY_FORMS, SIMULATED_KEY

HIDDEN = "***"

SHORTEST = 6
"""Characters. Shorter known secrets are not searched for: they would match ordinary words."""

LONGEST = 20_000
"""Characters of one value; longer ones are truncated."""

_MARGIN = 4_096
"""Characters scanned beyond `LONGEST`, to find a secret that starts before the cut."""

_NAMES = r"(?:password|passwd|passphrase|secret|token|api[_-]?key|private[_-]?key|signature|authorization|cookie)"
_SECRET_NAME = re.compile(rf"(?i){_NAMES}$")
_SECRET_VARIABLE = re.compile(r"(?i)(?:_|^)(?:KEYS?|PASSWORD|SECRET|TOKEN|HEADERS)$")
_KEY_FILE = re.compile(r"[/.~]\S*\.\w+")
"""Value of a variable such as WAGGLE_KEYS: a path, which errors must show."""
_ENTRY = re.compile(r"(?:[\w.-]+=)?(.+)", re.DOTALL)
"""One entry of a list, or of a mapping with its name."""
_IS = r"(?:\\?[\"'])?\s*[:=]\s*"

# No pattern may backtrack over one place from many starts: a word of 20,000 letters would take a minute and block the
# event loop.
_REPLACEMENTS: tuple[tuple[re.Pattern[str], str], ...] = (
    # A password in a URL, up to the last `@` before the path: it may contain one itself.
    (re.compile(r"(://[^\s/:@]*):[^\s/]+@"), rf"\1:{HIDDEN}@"),
    # A token instead of user and password.
    (re.compile(r"(https?://)[^\s/:@]+@", re.IGNORECASE), rf"\1{HIDDEN}@"),
    # `Authorization: Bearer …`, also as a pair of strings.
    (
        re.compile(r"(\bauthorization[\"']?\s*[:=,]\s*b?[\"']?)(?:[a-z]+\s+)?[^\s\"',;)}]+", re.IGNORECASE),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]{16,}"), rf"\1 {HIDDEN}"),
    # `password="…"` as a whole, `password=…`, `"api_key": "…"`, also in JSON within a string.
    (re.compile(rf"({_NAMES}{_IS})([\"'])(?:\\.|(?!\2)[^\\])*+\2", re.IGNORECASE | re.DOTALL), rf"\1\2{HIDDEN}\2"),
    (re.compile(rf"({_NAMES}{_IS}(?:\\?[\"'])?)[^\s\"',;&)}}\\]+", re.IGNORECASE), rf"\1{HIDDEN}"),
    # A signed address is a key.
    (re.compile(r"([?&]sig=)[^\s&#\"']+", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----)[^-]*"), rf"\1{HIDDEN}"),
    # Keys recognisable by their form.
    (re.compile(KEY_FORMS), HIDDEN),
)


_NEEDED: tuple[tuple[str, ...], ...] = (
    ("://",),
    ("://",),
    ("authorization",),
    ("bearer", "basic"),
    *2 * (("passw", "passphrase", "secret", "token", "key", "signature", "authorization", "cookie"),),
    ("sig=",),
    ("-----begin",),
    tuple(mark.lower() for _, marks, _ in FORMS for mark in marks.split()),
)
"""Texts, one of which a match of each pattern above contains: looked for first, since most texts have none of them."""


class Redaction:
    """Processor of structlog that redacts secrets in every field of a line."""

    def __init__(self, known: Iterable[str] = (), longest: int | None = LONGEST) -> None:
        self._longest = longest
        secrets = {each for each in known if len(each) >= SHORTEST} - {SIMULATED_KEY}
        wanted = sorted(secrets, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, wanted))) if wanted else None

    def __call__(
        self,
        logger: Any,  # noqa: ARG002 -- signature of structlog processors
        method: str,  # noqa: ARG002 -- as above
        event: MutableMapping[str, Any],
    ) -> MutableMapping[str, Any]:
        """Return the line with its secrets redacted."""
        return self._mapping(event)

    def text(self, text: str) -> str:
        """Return the text with its secrets redacted, truncated if it is long."""
        longest = len(text) if self._longest is None else self._longest
        shown = text[: longest + _MARGIN]
        if self._known is not None:
            shown = self._known.sub(HIDDEN, shown)
        lower = shown.lower() if shown.isascii() else None  # other letters have forms that patterns take for these
        for (pattern, replacement), needed in zip(_REPLACEMENTS, _NEEDED, strict=True):
            if lower is None or any(each in lower for each in needed):
                shown = pattern.sub(replacement, shown)
        return shown if len(text) <= longest else f"{shown[:longest]}… ({len(text):,} characters)"

    def values(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return values by name with their secrets redacted."""
        return self._mapping(values)

    def _mapping(self, pairs: Mapping[str, Any]) -> dict[str, Any]:
        return {name: HIDDEN if _SECRET_NAME.search(str(name)) else self._value(pairs[name]) for name in pairs}

    def _value(self, value: Any) -> Any:
        """Redact a value; types without a JSON form become their `repr`."""
        match value:
            case None | bool() | int() | float():
                return value
            case str():
                return self.text(value)
            case Mapping():
                return self._mapping(value)
            case list() | tuple() | set() | frozenset():
                return [self._value(each) for each in value]
        return self.text(repr(value))


_process, _whole = Redaction(), Redaction(longest=None)


def remember(secrets: Iterable[str]) -> None:
    """Make `shown` redact these secrets of the process."""
    global _process, _whole
    known = frozenset(secrets)
    _process, _whole = Redaction(known), Redaction(known, longest=None)


def shown(text: str) -> str:
    """Return the text of an exception, redacted for a result, a dead letter or an answer."""
    return _process.text(text)


def redacted(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values to be stored, in full length, with their secrets redacted."""
    return _whole.values(values)


def secrets_in(environment: Mapping[str, str]) -> set[str]:
    """Return apparent secrets of an environment, by variable name and by the form of the value.

    Covers the settings of every service: `waggle up` starts all of them with one environment.
    """
    named = {part for name, value in environment.items() if _SECRET_VARIABLE.search(name) for part in _parts(value)}
    within = {found for value in environment.values() for part in _parts(value) for found in _secrets(part)}
    return within | {each for each in named if not _KEY_FILE.fullmatch(each)}


def _parts(value: str) -> Iterable[str]:
    """Yield a value and, if it is a list or a mapping, the value of each entry."""
    for each in (value, *value.split(",")):
        yield each.strip()
        if found := _ENTRY.fullmatch(each.strip()):
            yield found[1].strip()


def secrets_of(*settings: BaseModel) -> set[str]:
    """Return every secret in the settings: declared ones, and passwords in addresses."""
    return {found for each in settings for name in type(each).model_fields for found in _secrets(getattr(each, name))}


def _secrets(value: Any) -> Iterable[str]:
    match value:
        case SecretStr():
            yield value.get_secret_value()
        case str() if "://" in value:
            try:
                address = urlsplit(value)
            except ValueError:  # an invalid address is rejected elsewhere and never logged
                return
            password = address.password or ""
            yield from (password, unquote(password))
            yield from (value for name, value in parse_qsl(address.query) if _SECRET_NAME.search(name))
        case Mapping():
            for each in value.values():
                yield from _secrets(each)
