"""Conversation: answers from the earlier turns, for an objective that is about them or refers to the last answer."""

import re

from infra.simulated_model.rules.words import sentence
from infra.simulated_model.situation import Brief, EarlierTurn
from schemas.fact import Fact
from schemas.step import Findings

_ASKED = re.compile(
    r"\b(what|which)\b[^.?!]*\b(i|we|my|our)\b[^.?!]*\b(ask|asked|question|questions|say|said|request|requests)\b"
    r"|\bwhat was my (first|last|previous|earlier) (question|request|message)\b",
    re.IGNORECASE,
)
_ANSWERED = re.compile(
    r"\b(repeat|again|rephrase|shorten|shorter|translate)\b"
    r"|\b(your|the) (last|previous|earlier|first) (answer|reply|result)\b"
    r"|\bwhat did you (say|answer|find|tell)\b"
    r"|\b(summari[sz]e|explain|say more about|sum up) (it|that|this|them|those)\b",
    re.IGNORECASE,
)
_CONTINUES = re.compile(r"^\W*(and|then|now|also|but|so|what about|how about|why|it|that|they|those)\b", re.IGNORECASE)

LONGEST = 1_200
"""Characters of an earlier answer that are quoted."""

_CAVEAT = "A simulated model found by rules that the objective is about this conversation, and quotes it."


def speaks_of_it(brief: Brief) -> bool:
    """Return True if the objective is about the earlier turns themselves."""
    return bool(brief.turns) and bool(_ASKED.search(brief.wish) or _ANSWERED.search(brief.wish))


def continues(brief: Brief) -> bool:
    """Return True if the objective continues the last turn: it begins with `and`, `why`, `it` and the like."""
    return bool(brief.turns) and (speaks_of_it(brief) or bool(_CONTINUES.search(brief.wish)))


def recall(brief: Brief) -> Findings:
    """Return what was asked before, or the last answer."""
    said = _asked(brief) if _ASKED.search(brief.wish) else _answered(brief.turns)
    facts = [Fact(name="earlier_turns", value=len(brief.turns))]
    return Findings(answer=said, facts=facts, sources=[], confidence=0.9, caveats=[_CAVEAT])


def _asked(brief: Brief) -> str:
    earlier = brief.conversation.earlier_objectives if brief.conversation else []
    asked = [*earlier, *(turn.asked for turn in brief.turns)]
    lines = [f"{number}. {sentence(text)}" for number, text in enumerate(asked, 1)]
    return "In this conversation you have asked:\n\n" + "\n".join(lines)


def _answered(turns: list[EarlierTurn]) -> str:
    last = next((turn for turn in reversed(turns) if turn.answer), None)
    if last is None or last.answer is None:
        return "No earlier turn of this conversation has an answer."
    text = last.answer if len(last.answer) <= LONGEST else last.answer[: LONGEST - 1].rstrip() + "…"
    quoted = "\n".join(f"> {line}" for line in text.split("\n"))
    return f"To “{sentence(last.asked, 120)}” the answer was:\n\n{quoted}"
