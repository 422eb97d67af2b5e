"""Verdicts as an answer reports them, and errors as the rules read them."""

from typing import Literal

from schemas.error import ErrorInfo
from schemas.plan import Risk
from schemas.verdict import Judgement
from shared.authorization import Action, Allow, Ask, Deny, Known, Ruling
from shared.errors import WaggleError
from shared.tools import ToolError

LONGEST_REASON = 500
"""Characters."""


def verdict_record(action: Action, verdict: Ruling, risk: Risk | None) -> Judgement:
    """Return the record of one verdict. `risk`: effective risk of a tool call."""
    return Judgement(
        call=action.call,
        action=action.kind.value,
        name=action.name,
        verdict=verdict_name(verdict),
        rule=verdict.rule,
        reason=verdict.reason[:LONGEST_REASON],
        digest=action.digest,
        risk=risk,
        notify=isinstance(verdict, Allow) and verdict.notify,
    )


def verdict_name(verdict: Ruling) -> Literal["allow", "ask", "deny"]:
    """Return the verdict in a word. A call answered from an earlier record is not made, so it counts as denied."""
    match verdict:
        case Allow():
            return "allow"
        case Ask():
            return "ask"
        case Deny() | Known():
            return "deny"


def info_of(error: WaggleError | None) -> ErrorInfo | None:
    """Return the error as a structure."""
    if error is None:
        return None
    return error.info if isinstance(error, ToolError) else ErrorInfo(code=error.code, message=str(error))
