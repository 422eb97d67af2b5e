"""Stand-ins for secrets and personal data of a recorded run, so that a case of it can be kept and shared."""

import re
from typing import Any

from shared.guardrails.finding import FindingKind
from shared.guardrails.personal import cards, emails, ibans, phones
from shared.guardrails.screen import redacted
from shared.guardrails.secrets import secrets

_RESERVED = re.compile(r"@(?:[\w-]+\.)*(?:example\.(?:com|net|org)|example|test|invalid)$", re.IGNORECASE)
"""Addresses that no person has: RFC 2606."""


class StandIns:
    """Replaces secrets and personal data in texts.

    An e-mail address gets the same stand-in everywhere, so that the calls of a case still fit its task; addresses that
    RFC 2606 reserves stay. Everything else becomes the name of its kind. Names of people are not detected.
    """

    def __init__(self) -> None:
        self._addresses: dict[str, str] = {}

    def text(self, text: str) -> str:
        """Return the text without secrets and personal data that have a recognisable form."""
        parts, last = [], 0
        for each in sorted(emails(text)):
            parts += [self._hidden(text[last : each.start]), self._address(text[each.start : each.end])]
            last = each.end
        return "".join([*parts, self._hidden(text[last:])])

    def value(self, value: Any) -> Any:
        """Return a JSON value with each text replaced, except the keys of its objects."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(each) for each in value]
        if isinstance(value, dict):
            return {name: self.value(each) for name, each in value.items()}
        return value

    def _hidden(self, text: str) -> str:
        found = [*secrets(text), *phones(text), *ibans(text), *cards(text)]
        return redacted(text, [each for each in found if each.kind is not FindingKind.EMAIL])

    def _address(self, address: str) -> str:
        if _RESERVED.search(address):
            return address
        number = len(self._addresses) + 1
        return self._addresses.setdefault(address.casefold(), f"person-{number}@example.com")
