"""Handing over: an agent of a swarm that has worked passes on to the agent that the objective names next."""

import re

from pydantic import BaseModel

from infra.simulated_model.reply import PlannedCall
from infra.simulated_model.situation import Situation
from schemas.step import Findings

TOOL = "hand_off"

_TO = re.compile(
    r"\b(?:hand(?:s|ing)?\s+(?:\w+\s+){0,3}?(?:over\s+|on\s+)?to|(?:and\s+)?then\s+to)\s+(?:the\s+)?([a-z0-9][a-z0-9._-]*)",
    re.IGNORECASE,
)
_ROUND = re.compile(r"\bhand\s+\w+\s+round\b", re.IGNORECASE)
"""Asks for a handoff by every agent, without an end."""


def hand_off(situation: Situation, answer: BaseModel) -> PlannedCall | None:
    """Return the handoff that comes instead of the answer; None if the agent answers."""
    to = _next(situation)
    if to is None or not isinstance(answer, Findings):
        return None
    return PlannedCall(
        TOOL,
        {
            "to": to,
            "request": f"Continue with the part that is yours as {to}.",
            "found": answer.answer[:4_000],
            "facts": [fact.model_dump(mode="json") for fact in answer.facts[:20]],
            "sources": [source.model_dump(mode="json") for source in answer.sources[:20]],
            "open_questions": [caveat[:1_000] for caveat in answer.caveats[:5]],
            "confidence": answer.confidence,
        },
    )


def _next(situation: Situation) -> str | None:
    """Return the agent to hand over to: the next named one, or the next in turn if the work is handed round."""
    brief, tool = situation.brief, situation.tools.get(TOOL)
    if brief is None or tool is None:
        return None
    offered = [str(each) for each in tool.parameters.get("properties", {}).get("to", {}).get("enum", [])]
    if _ROUND.search(brief.objective) and offered:
        return offered[len(brief.path) % len(offered)]
    named = [name.rstrip(".").lower() for name in _TO.findall(brief.objective)]
    place = max(0, len(brief.path) - 1)
    return named[place] if place < len(named) and named[place] in offered else None
