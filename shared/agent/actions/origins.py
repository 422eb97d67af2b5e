"""Origins of the untrusted material in a handoff."""

from schemas.step import DoStep, Handoff, MakePlan, ReviewResult
from shared.guardrails import named


def origins(handoff: Handoff) -> list[str]:
    """Return the origins of the untrusted material in a handoff, read by its agent or by the planner before it."""
    has_context = handoff.context.text or handoff.context.data
    files = [each.name for each in handoff.context.attachments]
    files += [made.name for each in handoff.inputs for made in each.output.artefacts]
    return [
        *([named("task", "context")] if has_context else []),
        *(named("file", name) for name in files),
        *(named("agent", each.agent) for each in handoff.inputs),
        *(named("tool", each.tool) for each in handoff.effected),
        *([named("agent", "feedback")] if handoff.feedback else []),
        *([named("agent", "planner")] if _planned_after_reading(handoff) else []),
        *(_described_by(handoff) if isinstance(handoff, MakePlan) else []),
    ]


def _planned_after_reading(handoff: Handoff) -> bool:
    """Return True if a planner that had read untrusted material wrote the objective or the plan."""
    return isinstance(handoff, ReviewResult) or (isinstance(handoff, DoStep) and handoff.plan_is_tainted)


def _described_by(handoff: MakePlan) -> list[str]:
    """Return the MCP servers that describe tools to a planner in their own words."""
    return [tool.source for card in handoff.agents for tool in card.tools if tool.source is not None]
