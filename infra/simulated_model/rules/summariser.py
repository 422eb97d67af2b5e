"""The summariser: the first sentences of the material are the facts."""

import json
from typing import Any

from pydantic import BaseModel

from infra.simulated_model.rules.ask import Rule
from infra.simulated_model.rules.words import sentence
from infra.simulated_model.situation import Situation

MOST = 20


class Summary(BaseModel):
    """The answer."""

    facts: list[str]
    open_questions: list[str]


def summarise(situation: Situation) -> Rule:
    """Return a fact from each of the latest answers, or the facts of earlier summaries."""
    yield ()
    material = json.loads(situation.texts[1]).get("material", [])
    known = [fact for each in material for fact in each.get("facts", [])]
    facts = known or [sentence(_text(each["tool"])) for each in material if each.get("tool")]
    return Summary(facts=facts[-MOST:] or ["No tool has answered."], open_questions=[])


def _text(answer: str) -> str:
    try:
        data: Any = json.loads(answer)
    except ValueError:
        return answer
    result = data.get("result", data) if isinstance(data, dict) else data
    return result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)
