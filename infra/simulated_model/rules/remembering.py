"""The memory agent: sentences that state something about a person or a thing are the facts."""

import json
import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from infra.simulated_model.rules.ask import Rule
from infra.simulated_model.situation import Situation

MOST = 12

_SENTENCE = re.compile(r"[^.!?\n]+[.!?]?")
_OWN = re.compile(
    r"\b(?:I|we)\s+(?:always|never|prefer|like|live|work|have|use|need|speak|am|are)\b"
    r"|\b(?:my|our)\s+(?:\w+\s+){1,4}(?:is|are)\b|\b[A-Z]\w+(?:['’]s)?\s+(?:\w+\s+){0,4}(?:is|are|has|lives|works|prefers)\b"
)
_STATED = re.compile(r"\b[A-Z]\w+\s+(?:\w+\s+){0,4}(?:is|are|has|have|was|costs)\b")
_COPULA = re.compile(r"\s(?:is|are)\s")


class Fact(BaseModel):
    """One fact."""

    quote: str
    turn: int
    subject: str = ""
    importance: float = 0.5
    valid_until: str | None = None
    replaces: int | None = None


class Facts(BaseModel):
    """The answer."""

    facts: list[Fact]


def remember(situation: Situation) -> Rule:
    """Return sentences of people in the first person, and of answers with a statement about something named."""
    yield ()
    brief = json.loads(situation.texts[1])
    known = brief.get("known", [])
    found = [fact for turn in brief.get("turns", []) for fact in _facts(turn, known)]
    return Facts(facts=found[:MOST])


def _facts(turn: dict[str, Any], known: list[dict[str, Any]]) -> Iterator[Fact]:
    people = [turn.get("caller", ""), *(each["words"] for each in turn.get("people", []))]
    answer = (turn.get("answer") or {}).get("text", "")
    for text, pattern in (*((words, _OWN) for words in people), (answer, _STATED)):
        for sentence in _SENTENCE.findall(text):
            if pattern.search(sentence) and not sentence.endswith("?"):
                importance = 0.6 if pattern is _OWN else 0.4
                yield Fact(
                    quote=sentence.strip(),
                    turn=turn["turn"],
                    importance=importance,
                    replaces=_replaced(sentence, known),
                )


def _replaced(sentence: str, known: list[dict[str, Any]]) -> int | None:
    """Return the number of the known fact that says something else of the same thing."""
    about, *rest = _COPULA.split(sentence.strip(), maxsplit=1)
    if not rest:
        return None
    for fact in known:
        same, *other = _COPULA.split(fact["content"].partition(": ")[2], maxsplit=1)
        if other and same.lower() == about.lower() and other[0].strip(". ") != rest[0].strip(". "):
            return int(fact["fact"])
    return None
