"""Personal data with a recognisable form or checksum. Names and addresses are not detected."""

import re
from collections.abc import Iterator

from stdnum import iban as iban_number
from stdnum import luhn

from shared.guardrails.finding import Finding, FindingKind
from shared.guardrails.near import lowered, near

_EMAIL = re.compile(
    r"(?<![\w.%+/:@-])[A-Za-z0-9][\w.%+-]{0,63}@[A-Za-z0-9](?:[A-Za-z0-9-]{0,62}\.)+[A-Za-z]{2,24}(?![\w@-]|\.\w)"
)
# The lookbehind comes second, so that the expression begins with characters that are quick to find.
_PHONE = re.compile(r"[+0](?<![\w+.,/=-][+0])(?:(?<=\+)|0)\d[\d \t()./-]{6,22}\d(?!\w|[.,-]\d)")
_NAMED_PHONE = re.compile(
    r"\b(?:tel(?:efon|ephone|éfono|efono)?|phone|mobile?|mobil|handy|fax|call|cell|appelez|t[ée]l)\b"
    r"[.:]{0,2}\s{0,3}(?:(?:me|us|at|unter|au)\s){0,2}(?P<number>\(?0?\d[\d \t()./-]{5,20}\d)(?![\w]|[.,-]\d)"
)
_PHONE_WORDS = ("tel", "tél", "phone", "mobil", "handy", "fax", "call", "cell", "appelez")
_IBAN = re.compile(r"[A-Z](?<!\w[A-Z])[A-Z]\d{2}(?:[ ]?[A-Z0-9]{4}){2,7}(?:[ ]?[A-Z0-9]{1,4})?\b")
_CARD = re.compile(r"[2-6](?<![\w.,+=/-][2-6])\d{3}([ -]?)\d{4}\1\d{4}\1\d{1,7}(?![\w]|[.,-]\d)")
_AMEX = re.compile(r"3(?<![\w.,+=/-]3)[47]\d{2}([ -]?)\d{6}\1\d{5}(?![\w]|[.,-]\d)")

_CARD_LENGTHS = range(14, 20)


def emails(text: str) -> list[Finding]:
    """Find e-mail addresses."""
    found = near(text, "@", _EMAIL, before=66, after=256)
    return [Finding(*match.span(), FindingKind.EMAIL, 0.95, "is an e-mail address") for match in found]


def phones(text: str, regions: tuple[str, ...] = ("US", "DE", "FR", "GB")) -> list[Finding]:
    """Find telephone numbers valid in their numbering plan: international ones, and others after words such as `tel`.

    `regions`: countries whose national numbers are recognised.
    """
    spans = [match.span() for match in _PHONE.finditer(text) if _dials(match.group(), None)]
    spans += [
        match.span("number")
        for match in near(lowered(text), _PHONE_WORDS, _NAMED_PHONE, before=2, after=60)
        if any(_dials(match["number"], region) for region in regions)
    ]
    return [Finding(*span, FindingKind.PHONE, 0.9, "is a telephone number") for span in spans]


def ibans(text: str) -> list[Finding]:
    """Find international bank account numbers with valid check digits."""
    return list(_checked_ibans(text))


def _checked_ibans(text: str) -> Iterator[Finding]:
    for match in _IBAN.finditer(text):
        words = match.group().split(" ")
        # A word in capitals may follow the number: strip it until the checksum is valid.
        for count in range(len(words), 0, -1):
            candidate = " ".join(words[:count])
            if iban_number.is_valid(candidate):
                end = match.start() + len(candidate)
                yield Finding(match.start(), end, FindingKind.IBAN, 0.99, "is a bank account number (IBAN)")
                break


def cards(text: str) -> list[Finding]:
    """Find payment card numbers with a valid check digit."""
    return [
        Finding(*match.span(), FindingKind.CARD, 0.9, "is a payment card number")
        for pattern in (_CARD, _AMEX)
        for match in pattern.finditer(text)
        if _is_card(match.group())
    ]


def _is_card(number: str) -> bool:
    digits = number.replace(" ", "").replace("-", "")
    return len(digits) in _CARD_LENGTHS and len(set(digits)) > 1 and luhn.is_valid(digits)


def _dials(number: str, region: str | None) -> bool:
    from phonenumbers import NumberParseException, is_valid_number, parse  # noqa: PLC0415 -- slow to import

    international = f"+{number[2:]}" if region is None and number.startswith("00") else number
    try:
        return is_valid_number(parse(international, region))
    except NumberParseException:
        return False
