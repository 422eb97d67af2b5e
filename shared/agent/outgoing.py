"""The output guardrails on what an agent answers: before it is recorded as the answer, published or shown."""

from schemas.step import Findings
from shared.errors import TerminalError
from shared.guard import Action, Policy, Screening, strictest, unloading


def guarded(findings: Findings, policy: Policy, tenant: str) -> Findings:
    """The findings as the policy leaves them, with a caveat for what was found, and an answer that loads nothing.

    Raises TerminalError `guardrail`.
    """
    if (answer := unloading(findings.answer)) != findings.answer:
        findings = findings.model_copy(update={"answer": answer})
    screening = Screening(policy, "output", tenant)
    told = screening.deep(findings.model_dump(mode="json"), "the answer")
    tripped = screening.tripped
    if not tripped:
        return findings
    if strictest(tripped) is Action.REJECT:
        reasons = [str(each) for each in tripped if each.action is Action.REJECT]
        raise TerminalError(f"the guardrails refuse the answer: {'; '.join(reasons)}"[:2_000], code="guardrail")
    told["caveats"] += [f"guardrail `{each.kind}`: {each}{_done(each.action)}" for each in tripped]
    return type(findings).model_validate(told)


def _done(action: Action) -> str:
    return ": it was taken out" if action is Action.REDACT else ""
