"""Judge: passes an answer that has every word that the rubric quotes."""

import json
import re

from infra.simulated_model.reply import Reply
from infra.simulated_model.situation import Situation

_QUOTED = re.compile(r"[\"“](.+?)[\"”]")


def judge(situation: Situation) -> Reply:
    """Return the verdict on the answer in the request."""
    try:
        about = json.loads(situation.texts[-1])
        rubric, answer = str(about["rubric"]), str(about["answer"])
    except (ValueError, KeyError, TypeError):
        return Reply(content=json.dumps({"reason": "The request has no rubric and answer.", "passes": False}))
    quoted = _QUOTED.findall(rubric)
    missing = [each for each in quoted if each.casefold() not in answer.casefold()]
    reason = f"It lacks {missing[0]}." if missing else "It has every word that the rubric quotes."
    return Reply(content=json.dumps({"reason": f"{reason} (simulated)", "passes": bool(quoted) and not missing}))
