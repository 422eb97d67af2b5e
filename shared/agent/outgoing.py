"""Outgoing content of an agent: findings behind the output guardrails, and progress events."""

from datetime import UTC, datetime

from schemas.event import Progressed
from schemas.step import Findings, Handoff
from shared.errors import TerminalError
from shared.guardrails import GuardrailAction, GuardrailPolicy, Screening, strictest, unloading


def guarded(findings: Findings, policy: GuardrailPolicy, tenant: str) -> Findings:
    """Return the findings with the output guardrails applied.

    Each triggered guardrail adds a caveat. The answer loads no remote content. Raises TerminalError `guardrail`.
    """
    if (answer := unloading(findings.answer)) != findings.answer:
        findings = findings.model_copy(update={"answer": answer})
    screening = Screening(policy, "output", tenant)
    screened = screening.deep(findings.model_dump(mode="json"), "the answer")
    tripped = screening.tripped
    if not tripped:
        return findings
    if strictest(tripped) is GuardrailAction.REJECT:
        reasons = [str(each) for each in tripped if each.action is GuardrailAction.REJECT]
        raise TerminalError(f"the guardrails refuse the answer: {'; '.join(reasons)}"[:2_000], code="guardrail")
    screened["caveats"] += [f"guardrail `{each.kind}`: {each}{_consequence(each.action)}" for each in tripped]
    return type(findings).model_validate(screened)


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
