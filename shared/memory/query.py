"""A query, read for words, names and dates."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.memory.marks import MONTHS
from shared.memory.terms import query_terms, words

LONGEST_QUERY = 4_000
"""Characters of a query that are read."""
MOST_QUERY_TERMS = 64

_YEAR = re.compile(r"(?:19|20)\d\d")
_DAY = re.compile(r"([0-3]?\d)(?:st|nd|rd|th)?")
_ISO = re.compile(
    r"\b((?:19|20)\d\d)[-/.](\d{1,2})(?:[-/.](\d{1,2}))?\b|((?:19|20)\d\d)年(?:(\d{1,2})月(?:(\d{1,2})日)?)?"
)
_VERBS = frozenset(("may", "mar", "march", "mars", "dec", "mai"))
"""Names of months that are words as well: they count next to a number or a preposition."""
_BEFORE_MONTHS = "in on of since until by early late mid last next im am en du de del di em"
_PREPOSITIONS = frozenset(_BEFORE_MONTHS.split())
_ASKS_A_TIME = re.compile(
    r"\W*(?:when|how long|(?:in |on |at )?(?:what|which) (?:date|day|month|year|time|week)|wann|wie lange|quand|cuando"
    r"|cuándo|quando)\b|.*(?:什么时候|何时|哪天|哪年|いつ)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Dates:
    """Parts of dates that a query names."""

    years: frozenset[int] = frozenset()
    months: frozenset[int] = frozenset()
    days: frozenset[int] = frozenset()

    @property
    def given(self) -> bool:
        """True if the query names any."""
        return bool(self.years or self.months)

    def fit(self, when: datetime) -> float:
        """Return the agreement with a moment: 1 for the month, 1 for a day near it, 0.3 for the year."""
        at = when.astimezone(UTC)
        right_month = at.month in self.months
        near = right_month and any(abs(at.day - day) <= NEAR_DAYS for day in self.days)
        return 1.0 * right_month + 1.0 * near + 0.3 * (at.year in self.years)


NEAR_DAYS = 3
"""People speak of a day some days later."""


@dataclass(frozen=True, slots=True)
class Query:
    """A query as retrieval needs it."""

    text: str
    terms: tuple[str, ...]
    words: frozenset[str]
    dates: Dates
    asks_a_time: bool

    def names(self, subject: str) -> bool:
        """Return True if it names this subject, or a part of its name."""
        return any(len(word) > 1 and word in self.words for word in words(subject))


def read_query(text: str) -> Query:
    """Read a query; of a longer one its start."""
    start = re.sub("[\x00\ud800-\udfff]", " ", text[:LONGEST_QUERY])
    plain = list(words(start))
    found = query_terms(start)[:MOST_QUERY_TERMS]
    return Query(start, found, frozenset(plain), _dates(start, plain), bool(_ASKS_A_TIME.match(start)))


def _dates(text: str, plain: list[str]) -> Dates:
    years = {int(word) for word in plain if _YEAR.fullmatch(word)}
    months = {MONTHS[word] for at, word in enumerate(plain) if word in MONTHS and _is_month(plain, at)}
    days = {int(day[1]) for word in plain if (day := _DAY.fullmatch(word))} if months else set()
    for found in _ISO.findall(text):
        for kind, western, eastern in zip((years, months, days), found[:3], found[3:], strict=True):
            kind.update(int(part) for part in (western, eastern) if part)
    return Dates(frozenset(years), frozenset(months), frozenset(days - {0}))


def _is_month(plain: list[str], at: int) -> bool:
    if plain[at] not in _VERBS:
        return True
    around = plain[max(0, at - 1) : at] + plain[at + 1 : at + 2]
    return any(word[0].isdigit() for word in around) or (at > 0 and plain[at - 1] in _PREPOSITIONS)
