"""Rules by agent, and the evaluation of a rule into the next reply."""

from collections.abc import Callable, Mapping
from typing import Final

from infra.simulated_model.reply import PlannedCall, Reply
from infra.simulated_model.rules import (
    code,
    communication,
    conversation,
    incident,
    planner,
    remembering,
    research,
    reviewer,
    summariser,
    unknown,
    writer,
)
from infra.simulated_model.rules.ask import Rule
from infra.simulated_model.rules.handing import hand_off
from infra.simulated_model.rules.sharing import share
from infra.simulated_model.situation import Situation, ToolReply

RULES: Final[Mapping[str, Callable[[Situation], Rule]]] = {
    "planner": planner.plan,
    "research": research.find,
    "data": incident.analyse,
    "code": code.program,
    "communication": communication.report,
    "writer": writer.write,
    "reviewer": reviewer.review,
    "summariser": summariser.summarise,
    "memory": remembering.remember,
}


def next_reply(situation: Situation) -> Reply:
    """Return the next reply of the agent's rule, given all tool results so far."""
    rule = _rule_of(situation)
    try:
        wanted = next(rule)
        while True:
            known = [_known(situation, call) for call in wanted]
            missing = tuple(call for call, told in zip(wanted, known, strict=True) if told is None)
            if missing:
                return Reply(calls=missing)
            wanted = rule.send(tuple(told for told in known if told is not None))
    except StopIteration as done:
        for call in share(situation, done.value):
            if _known(situation, call) is None:
                return Reply(calls=(call,))
        handing = hand_off(situation, done.value)
        if handing is not None and situation.answer_to(handing) is None and situation.may_call:
            return Reply(calls=(handing,))
        return Reply(content=done.value.model_dump_json(indent=2))


def _rule_of(situation: Situation) -> Rule:
    """Return the rule of the agent; for a specialist that is asked about the conversation, the recall of it."""
    brief = situation.brief
    if (
        brief is not None
        and situation.agent not in ("planner", "writer", "reviewer")
        and conversation.speaks_of_it(brief)
    ):
        return unknown.settled(situation, conversation.recall(brief))
    return RULES.get(situation.agent or "", unknown.answer)(situation)


def _known(situation: Situation, call: PlannedCall) -> ToolReply | None:
    told = situation.answer_to(call)
    if told is None and (call.name not in situation.tools or not situation.may_call):
        return ToolReply(error={"code": "not_available", "message": f"the tool {call.name} was not offered"})
    return told
