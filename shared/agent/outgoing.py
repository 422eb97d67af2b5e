"""Outgoing content of an agent: findings behind the output guardrails, and progress events."""

from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ValidationError

from schemas.brief import Brief
from schemas.event import Progressed
from schemas.step import Findings, Handoff
from shared.agent.declare import HandOff
from shared.errors import TerminalError
from shared.guardrails import GuardrailAction, GuardrailPolicy, Screening, strictest, unloading

MOST_QUESTIONS = 20
"""Open questions of a brief."""


def guarded(said: Findings | HandOff, policy: GuardrailPolicy, tenant: str) -> Findings | HandOff:
    """Return the findings, or the brief of a handoff, with the output guardrails applied.

    Each triggered guardrail adds a caveat, or an open question to a brief. The text loads no remote content. Raises
    TerminalError `guardrail`.
    """
    if isinstance(said, Findings):
        return _guarded_findings(said, policy, tenant)
    found, request = unloading(said.brief.found), unloading(said.brief.request)
    screened, tripped = _screened(said.brief.model_copy(update={"found": found, "request": request}), policy, tenant)
    if tripped:
        screened["open_questions"] = [*screened["open_questions"], *tripped][:MOST_QUESTIONS]
    try:
        return HandOff(to=said.to, brief=Brief.model_validate(screened))
    except ValidationError:
        raise TerminalError("the brief is too large once the guardrails have changed it", code="guardrail") from None


def _guarded_findings(findings: Findings, policy: GuardrailPolicy, tenant: str) -> Findings:
    if (answer := unloading(findings.answer)) != findings.answer:
        findings = findings.model_copy(update={"answer": answer})
    screened, caveats = _screened(findings, policy, tenant)
    if not caveats:
        return findings
    screened["caveats"] += caveats
    return type(findings).model_validate(screened)


def _screened(said: BaseModel, policy: GuardrailPolicy, tenant: str) -> tuple[dict[str, Any], list[str]]:
    """Return the content as the guardrails left it, and what tripped. Raises TerminalError `guardrail`."""
    screening = Screening(policy, "output", tenant)
    screened = screening.deep(said.model_dump(mode="json"), "the answer")
    tripped = screening.tripped
    if strictest(tripped) is GuardrailAction.REJECT:
        reasons = [str(each) for each in tripped if each.action is GuardrailAction.REJECT]
        raise TerminalError(f"the guardrails refuse the answer: {'; '.join(reasons)}"[:2_000], code="guardrail")
    return screened, [f"guardrail `{each.kind}`: {each}{_consequence(each.action)}" for each in tripped]


def _consequence(action: GuardrailAction) -> str:
    return ": it was taken out" if action is GuardrailAction.REDACT else ""


def progressed(handoff: Handoff, agent: str, doing: str, turn: int | None = None) -> Progressed:
    """Return the event that shows the agent's current activity to followers of the run."""
    return Progressed(
        run_id=handoff.run_id,
        tenant=handoff.tenant,
        at=datetime.now(UTC),
        by=agent,
        step_id=getattr(handoff, "step_id", agent),
        agent=agent,
        doing=doing,
        turn=turn,
    )
