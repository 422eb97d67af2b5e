"""Wording of memories: sentences of ours around quoted values, each shortened."""

from collections.abc import Iterable

from schemas.memory import LONGEST_MEMORY, writable

LONGEST_ASKED, LONGEST_ANSWER, LONGEST_WORDS, LONGEST_NAME = 2_000, 2_400, 1_500, 200
"""Characters of an objective, an answer, a person's words and a name."""


PLAN_WORKED = "A plan that worked"
"""Beginning of the memory of a plan."""


def short(text: str, longest: int) -> str:
    """Return text on one line, cut at its end."""
    line = " ".join(str(writable(text)).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def listed(names: Iterable[str], most: int = 12) -> str:
    """Return names as a list, the first of them."""
    found = list(dict.fromkeys(short(each, LONGEST_NAME) for each in names))
    return ", ".join(found[:most]) + (f" and {len(found) - most} more" if len(found) > most else "")


def content(*sentences: str) -> str:
    """Return sentences as the content of a memory."""
    return " ".join(each for each in sentences if each)[:LONGEST_MEMORY]
