"""Guard: gives the verdict of the model check by a few words. It shows the plumbing, not what a model would find."""

import json
import re

from infra.simulated_model.reply import Reply
from infra.simulated_model.situation import Situation

_SUSPICIOUS = re.compile(
    r"\b(ignore|disregard|forget)\b.{0,40}\b(instructions?|rules?|prompt)\b|@evil\.example", re.IGNORECASE
)


def guard(situation: Situation) -> Reply:
    """Return `block` for a call or a text with words of an attack in it, and `allow` for any other."""
    try:
        material = json.loads(situation.texts[-1])["material"]
        checked = str(
            next(material[name] for name in ("action", "result", "task") if isinstance(material.get(name), str))
        )
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration):
        return Reply(content=json.dumps({"reason": "The request has no material. (simulated)", "verdict": "ask"}))
    found = _SUSPICIOUS.search(checked)
    reason = "It has words of an attack." if found else "It has no words of an attack."
    return Reply(content=json.dumps({"reason": f"{reason} (simulated)", "verdict": "block" if found else "allow"}))
