"""Rulings that follow from a model check, and from a refusal that the journal has."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from schemas.error import REFUSED_BY_PERSON, ErrorInfo
from shared.authorization import Allow, Ask, Deny, Known, RuleInput, Ruling, lasts
from shared.guardrails.check import CheckVerdict
from shared.tools import ToolError

MODEL_CHECK = "model_check"
"""Name of the rule, and code of its refusals."""

Check: TypeAlias = Callable[[], Awaitable[CheckVerdict]]


async def checked(case: RuleInput, verdict: Ruling, check: Check | None) -> Ruling:
    """Return the verdict after the check. It is asked about acting calls that the gate allows without a person."""
    if check is None or not isinstance(verdict, Allow) or verdict.rule == "approval":
        return verdict
    if case.action.tool is None or not lasts(case.action.tool):
        return verdict
    found = await check()
    match found.verdict:
        case "ask":
            return Ask(MODEL_CHECK, found.reason, case.risk)
        case "block":
            return Deny(MODEL_CHECK, refusal_of(found.reason))
    return verdict


def refusal_of(reason: str) -> ErrorInfo:
    """Return the error of something that the check blocks."""
    action = "do only what the task asks for; continue without it"
    return ErrorInfo(code=MODEL_CHECK, message=f"the model check blocks it: {reason}", suggested_action=action)


def as_recorded(verdict: Ruling, refused: ToolError | None) -> Ruling:
    """Return the verdict on a call that the journal has as made, or as refused."""
    if refused is None:
        return verdict if isinstance(verdict, Allow | Known) else Allow("journal", "it was made before")
    if refused.code == REFUSED_BY_PERSON:
        return Deny("approval", refused.info)
    if isinstance(verdict, Deny):
        return verdict
    return Deny(MODEL_CHECK if refused.code == MODEL_CHECK else "budget", refused.info)
