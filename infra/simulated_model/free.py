"""Replies when no scenario applies: by an agent's rule, or a plain text for a request from outside Waggle."""

import json
from typing import Any

from infra.simulated_model.fitting import fitting
from infra.simulated_model.reply import PlannedCall, Reply
from infra.simulated_model.rules import next_reply
from infra.simulated_model.rules.guard import guard
from infra.simulated_model.rules.judge import judge
from infra.simulated_model.situation import Situation

HELLO = (
    "This is Waggle's simulated model: it plays Waggle's agents by fixed rules and cannot answer free questions. "
    "Set OPENAI_BASE_URL and WAGGLE_MODEL_STRONG to use a real model."
)


def free_reply(situation: Situation, schema: dict[str, Any] | None) -> Reply:
    """Reply by the rules, or with JSON that fits a demanded `schema` if the agent is unknown."""
    if situation.agent == "judge":
        reply = judge(situation)
    elif situation.agent == "guard":
        reply = guard(situation)
    elif situation.agent is None or situation.brief is None:
        reply = Reply(content=HELLO if schema is None else json.dumps(fitting(schema, schema)))
    else:
        reply = next_reply(situation)
    return reply if reply.calls or situation.must_call is None else _forced(situation, reply)


def _forced(situation: Situation, reply: Reply) -> Reply:
    """Return a call the request insists on, with arguments from the objective."""
    name = situation.must_call if situation.must_call != "*" else next(iter(situation.tools), None)
    tool = situation.tools.get(name or "")
    if tool is None:
        return reply
    fitted = fitting(tool.parameters, tool.parameters)
    arguments = {name: value for name, value in fitted.items() if not name.startswith("_")}  # the runtime's own
    wish = situation.brief.objective if situation.brief else situation.texts[-1]
    return Reply(calls=(PlannedCall(tool.name, {k: wish if v == "simulated" else v for k, v in arguments.items()}),))
