"""Words of an objective."""

import re
from collections.abc import Iterable

EMAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
URL = re.compile(r"https?://[^\s<>\"')\]]+")
TABLES = (".csv", ".tsv", ".parquet", ".xlsx", ".jsonl", ".ndjson", ".json", ".duckdb", ".db")
STOP = frozenset(
    """
    a about above after all also an and any are as at be because been before being between both but by can
    could did do does doing down during each file files find for from further give had has have how if in into
    is it its just least made make me mail more most must my no nor not now of off on once only or other our
    out over own please report run same say send shall she should so some step such tell than that the their
    them then there these they this those through to too under until up us use using very was we were what
    when where which while who why will with would you your
    """.split()  # noqa: SIM905  # A list of words reads as a text.
)


def words(text: str) -> list[str]:
    """Return the words of a text in lower case; `E_42` and `v1.2` are one word each."""
    return re.findall(r"[a-z0-9]+(?:[._-][a-z0-9]+)*", text.lower())


def keywords(text: str) -> list[str]:
    """Return the meaningful words, each once, in their order; without addresses."""
    plain = URL.sub(" ", EMAIL.sub(" ", text))
    return list(dict.fromkeys(word for word in words(plain) if word not in STOP and len(word) > 1))


def mentions(text: str, stems: Iterable[str]) -> bool:
    """Return true if a word of the text begins with one of the stems."""
    found = words(text)
    return any(word.startswith(stem) for stem in stems for word in found)


def addresses(text: str) -> list[str]:
    """Return the e-mail addresses, each once."""
    return list(dict.fromkeys(EMAIL.findall(text)))


def is_table(name: str) -> bool:
    """Return true if a file of that name is a table."""
    return name.lower().endswith(TABLES)


def sentence(text: str, longest: int = 300) -> str:
    """Return the text on one line, cut at `longest` characters."""
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"
