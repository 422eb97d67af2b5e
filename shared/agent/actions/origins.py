"""Origins of the untrusted material in a handoff."""

from schemas.conversation import ConversationTurn
from schemas.step import DoStep, Handoff, MakePlan, ReviewResult
from schemas.synthesis import WriteAnswer
from shared.agent.listening import origins_of
from shared.guardrails import named, sanitised


def origins(handoff: Handoff) -> list[str]:
    """Return the origins of the untrusted material in a handoff, read by its agent or by the planner before it."""
    has_context = handoff.context.text or handoff.context.data
    files = [each.name for each in handoff.context.attachments]
    files += [made.name for each in handoff.inputs for made in each.output.artefacts]
    files += [kept.name for turn in _answered(handoff) for kept in turn.artefacts]
    return [
        *([named("task", "context")] if has_context else []),
        *(named("file", name) for name in files),
        *(named("agent", each.agent) for each in handoff.inputs),
        *(named("tool", each.tool) for each in handoff.effected),
        *_answered_before(handoff),
        *([named("agent", "feedback")] if handoff.feedback else []),
        *([named("agent", "planner")] if _planned_after_reading(handoff) else []),
        *([named("agent", "writer")] if isinstance(handoff, ReviewResult) and handoff.synthesis else []),
        *origins_of(handoff.messages),
        *(_described_by(handoff) if isinstance(handoff, MakePlan) else []),
    ]


def _answered_before(handoff: Handoff) -> list[str]:
    """Return the origins of the answers in the conversation: text of models, and what that text rests on."""
    answered = _answered(handoff)
    facts = handoff.conversation.facts if handoff.conversation else []
    read = [(each.run_id, each.origins) for each in answered]
    read += [(each.run_id, each.origins) for each in facts if each.origins]
    conversation = [named("conversation", run_id) for run_id, _ in read]
    rest = (sanitised(origin) for _, origins in read for origin in origins)
    return list(dict.fromkeys([*conversation, *rest]))


def _answered(handoff: Handoff) -> list[ConversationTurn]:
    turns = handoff.conversation.turns if handoff.conversation else []
    return [turn for turn in turns if turn.answer or turn.facts or turn.artefacts]


def _planned_after_reading(handoff: Handoff) -> bool:
    """Return True if a planner that had read untrusted material wrote the objective or the plan."""
    return isinstance(handoff, ReviewResult | WriteAnswer) or (isinstance(handoff, DoStep) and handoff.plan_is_tainted)


def _described_by(handoff: MakePlan) -> list[str]:
    """Return the MCP servers that describe tools to a planner in their own words."""
    return [tool.source for card in handoff.agents for tool in card.tools if tool.source is not None]
