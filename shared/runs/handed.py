"""Change that a handoff between agents makes to a run. Used by `evolve`."""

from typing import Any

from schemas.message import MOST_SECONDS
from schemas.step import Output
from schemas.step_events import StepHandedOff
from shared.runs.run import HandedOver, Run, StepRecord


def hand_over(run: Run, event: StepHandedOff) -> dict[str, Any]:
    """End the step with its brief as output, and add the next one; a refused handoff fails the step."""
    before = run.steps[event.step_id]
    handed = HandedOver(
        to=event.to, brief=event.brief, digest=event.brief_digest, tainted=event.tainted, added=event.added
    )
    change: dict[str, Any] = {
        "status": "failed" if event.error else "done",
        "output": brief_output(before.step.agent, event),
        "error": event.error,
        "handoff_id": None,
        "handed": handed,
        "seconds": min(before.seconds + event.seconds, MOST_SECONDS),
        "usage": before.usage + event.usage,
        "versions": event.versions or before.versions,
    }
    steps = run.steps | {event.step_id: before.model_copy(update=change)}
    if event.next is None or run.plan is None:
        return {"steps": steps}
    plan = run.plan.model_copy(update={"steps": [*run.plan.steps, event.next]})
    return {"plan": plan, "steps": steps | {event.next.id: StepRecord(step=event.next, must_answer=event.must_answer)}}


def brief_output(agent: str, event: StepHandedOff) -> Output:
    """Return the brief as the output of its step, for agents and people."""
    brief = event.brief
    parts = [f"{agent} handed over to {event.to}: {brief.request}", brief.found]
    parts.append("\n".join(["Open questions:", "", *(f"- {each}" for each in brief.open_questions)]))
    return Output(
        answer="\n\n".join(part for part in parts[: 3 if brief.open_questions else 2] if part),
        facts=brief.facts,
        sources=brief.sources,
        artefacts=brief.artefacts,
        confidence=brief.confidence,
        caveats=event.caveats,
        effects=event.effects,
    )
