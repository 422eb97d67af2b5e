"""Writer: puts the last answers together, and names facts of the same name with different values as open conflicts."""

from collections import defaultdict

from infra.simulated_model.rules.ask import Rule, ask_all
from infra.simulated_model.situation import Brief, Situation
from schemas.conflict import MOST_CONFLICTS, Conflict, Position
from schemas.fact import Fact
from schemas.step import StepOutput, Synthesis

RULE_BASED = "the simulated model put this answer together by rules: it compares facts by name and understands no text"
"""Caveat of every synthesis."""


def write(situation: Situation) -> Rule:
    """Return one answer from all earlier steps."""
    yield from ask_all()
    brief = situation.brief or Brief(objective="")
    steps, conflicts = brief.earlier_steps, _conflicts(brief.earlier_steps)
    disputed = {each.subject for each in conflicts}
    last = _last(brief) or steps
    sure = min((step.output.confidence for step in steps), default=0.0)
    return Synthesis(
        answer="\n\n".join(_part(step, disputed) for step in last) or "No step has an answer.",
        facts=[fact for fact in _facts(steps) if fact.name not in disputed],
        sources=list({source.uri: source for step in steps for source in step.output.sources}.values()),
        confidence=round(sure / 2 if conflicts else sure, 2),
        caveats=[RULE_BASED],
        conflicts=conflicts,
    )


def _last(brief: Brief) -> list[StepOutput]:
    """Return the steps that no other one builds on."""
    needed = {key for step in (brief.plan.steps if brief.plan else []) for key in step.depends_on}
    return [step for step in brief.earlier_steps if step.step_id not in needed]


def _part(step: StepOutput, disputed: set[str]) -> str:
    doubts = [fact.name for fact in step.output.facts if fact.name in disputed]
    note = f"\n\nDisputed by another step: {', '.join(dict.fromkeys(doubts))}." if doubts else ""
    return step.output.answer.strip() + note


def _facts(steps: list[StepOutput]) -> list[Fact]:
    return list({fact.name: fact for step in steps for fact in step.output.facts}.values())[:500]


def _conflicts(steps: list[StepOutput]) -> list[Conflict]:
    """Return a conflict for each fact to which two steps give different values."""
    said: dict[str, dict[str, str]] = defaultdict(dict)
    for step in steps:
        for fact in step.output.facts:
            said[fact.name][step.step_id] = str(fact.value)[:900]
    disputed = {name: values for name, values in said.items() if len(set(values.values())) > 1}
    return [_conflict(name, values) for name, values in disputed.items()][:MOST_CONFLICTS]


def _conflict(name: str, values: dict[str, str]) -> Conflict:
    return Conflict(
        subject=name,
        positions=[Position(step_id=step_id, says=f"{name} is {value}") for step_id, value in values.items()][:40],
        resolved=False,
        resolution="A person or a further source must say which value is right.",
        reason="The rules do not know which step is right.",
    )
