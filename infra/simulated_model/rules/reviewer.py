"""Reviewer: checks that there is an answer, that it rests on the findings, and that required mail was sent."""

from infra.simulated_model.rules.ask import Rule, ask_all
from infra.simulated_model.rules.words import addresses
from infra.simulated_model.situation import Brief, Situation
from schemas.step import Verdict


def review(situation: Situation) -> Rule:
    """Accept, or report what is missing and which steps to redo."""
    yield from ask_all()
    brief = situation.brief or Brief(objective="")
    problems = (
        _empty(brief)
        or _unnamed(brief)
        or [*_unsent(brief), *([] if brief.feedback or brief.synthesis else _unsupported(brief))]
    )
    reasons = [reason for _, reason in problems] or [
        "Every step has an answer, and the last one rests on what was found."
    ]
    return Verdict(accepted=not problems, reasons=reasons, redo=sorted({step for step, _ in problems if step}))


def _empty(brief: Brief) -> list[tuple[str, str]]:
    if not brief.earlier_steps:
        return [("", "There is no output to review.")]
    return [
        (s.step_id, f"Step {s.step_id} has an empty answer.")
        for s in brief.earlier_steps
        if not s.output.answer.strip()
    ]


def _unnamed(brief: Brief) -> list[tuple[str, str]]:
    """Require that the synthesis has an answer, which names its conflicts."""
    if brief.synthesis is None:
        return []
    answer = brief.synthesis.answer
    if not answer.strip():
        return [("", "The synthesis is empty.")]
    hidden = [each.subject for each in brief.synthesis.conflicts if each.subject not in answer]
    return [("", f"The synthesis does not say that `{subject}` is in dispute.") for subject in hidden]


def _unsent(brief: Brief) -> list[tuple[str, str]]:
    """Require that requested mail is among the facts of the sending step."""
    wanted = addresses(" ".join([brief.objective, *brief.constraints]))
    sender = next((step for step in reversed(brief.earlier_steps) if step.agent == "communication"), None)
    if not wanted or sender is None:
        return []
    sent = " ".join(str(fact.value) for fact in sender.output.facts) + sender.output.answer
    return [(sender.step_id, f"Nothing says that {to} was written to.") for to in wanted if to not in sent]


def _unsupported(brief: Brief) -> list[tuple[str, str]]:
    """Require that the last answer mentions findings of the steps before it."""
    *before, last = brief.earlier_steps
    values = [str(fact.value) for step in before for fact in step.output.facts]
    if not values or last.agent != "communication" or any(value in last.output.answer for value in values):
        return []
    return [(last.step_id, f"The answer of step {last.step_id} mentions none of the facts found before it.")]
