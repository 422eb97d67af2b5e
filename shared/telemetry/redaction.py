"""No secret gets into a log: neither one that the settings know, nor what looks like one."""

import re
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import SecretStr

from shared.config import Settings
from shared.guardrails import KEY_FORMS

HIDDEN = "***"

SHORTEST = 6
"""Characters. A known secret that is shorter is not looked for: it would be found in ordinary words."""

LONGEST = 20_000
"""Characters of one value: what is longer is cut off."""

_MARGIN = 4_096
"""Characters looked at beyond those: a secret is found that begins before the cut."""

_NAMES = r"(?:password|passwd|passphrase|secret|token|api[_-]?key|private[_-]?key|signature|authorization|cookie)"
_SECRET_NAME = re.compile(rf"(?i){_NAMES}$")
_SECRET_VARIABLE = re.compile(r"(?i)(?:_|^)(?:KEYS?|PASSWORD|SECRET|TOKEN|HEADERS)$")
_IS = r"(?:\\?[\"'])?\s*[:=]\s*"

# No pattern may look at one place from many beginnings: a word of 20,000 letters would take a minute, in which the
# process does nothing else.
_REPLACEMENTS: tuple[tuple[re.Pattern[str], str], ...] = (
    # A password in a URL. Up to the last `@` before the path: it may hold one itself.
    (re.compile(r"(://[^\s/:@]*):[^\s/]+@"), rf"\1:{HIDDEN}@"),
    # A token in its place.
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
    # Keys whose form tells what they are.
    (re.compile(KEY_FORMS), HIDDEN),
)


class Redaction:
    """A processor of structlog: hides the secrets in everything a line says."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        wanted = sorted({each for each in known if len(each) >= SHORTEST}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, wanted))) if wanted else None

    def __call__(
        self,
        logger: Any,  # noqa: ARG002 -- structlog calls processors so
        method: str,  # noqa: ARG002 -- as above
        event: MutableMapping[str, Any],
    ) -> MutableMapping[str, Any]:
        """The same line without its secrets."""
        return self._mapping(event)

    def text(self, text: str) -> str:
        """The text without its secrets, cut off if it is long."""
        shown = text[: LONGEST + _MARGIN]
        if self._known is not None:
            shown = self._known.sub(HIDDEN, shown)
        for pattern, replacement in _REPLACEMENTS:
            shown = pattern.sub(replacement, shown)
        return shown if len(text) <= LONGEST else f"{shown[:LONGEST]}… ({len(text):,} characters)"

    def _mapping(self, pairs: Mapping[str, Any]) -> dict[str, Any]:
        return {name: HIDDEN if _SECRET_NAME.search(str(name)) else self._value(pairs[name]) for name in pairs}

    def _value(self, value: Any) -> Any:
        """What has no form of its own in a line is shown as its `repr`."""
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


_process = Redaction()


def remember(secrets: Iterable[str]) -> None:
    """Have `shown` hide these secrets, which this process knows."""
    global _process  # noqa: PLW0603 -- as logging, one for a process
    _process = Redaction(secrets)


def shown(text: str) -> str:
    """A text of an exception, as it may be shown: in a result, a dead letter, an answer."""
    return _process.text(text)


def secrets_in(environment: Mapping[str, str]) -> set[str]:
    """Every secret that an environment seems to hold, by the names of its variables and the forms of their values."""
    named = {value for name, value in environment.items() if _SECRET_VARIABLE.search(name)}
    return {each.strip() for each in named} | {found for value in environment.values() for found in _secrets(value)}


def secrets_of(settings: Settings) -> set[str]:
    """Every secret the settings hold: those declared as such, and the passwords in addresses."""
    return {found for name in type(settings).model_fields for found in _secrets(getattr(settings, name))}


def _secrets(value: Any) -> Iterable[str]:
    match value:
        case SecretStr():
            yield value.get_secret_value()
        case str() if "://" in value:
            try:
                address = urlsplit(value)
            except ValueError:  # refused elsewhere, and shown by nobody
                return
            password = address.password or ""
            yield from (password, unquote(password))
            yield from (said for name, said in parse_qsl(address.query) if _SECRET_NAME.search(name))
        case Mapping():
            for each in value.values():
                yield from _secrets(each)
