"""Verdicts of the gate as they are recorded, and errors as it reads them."""

from typing import Literal

from schemas.error import ErrorInfo
from schemas.verdict import Judgement
from shared.authorization import Action, Allow, Ask, Deny, Known, Ruling
from shared.errors import WaggleError
from shared.tools import ToolError

LONGEST_REASON = 500
"""Characters."""


def judgement(action: Action, verdict: Ruling) -> Judgement:
    """The record of one verdict."""
    return Judgement(
        call=action.call,
        action=action.kind.value,
        name=action.name,
        verdict=named(verdict),
        rule=verdict.rule,
        reason=verdict.reason[:LONGEST_REASON],
        digest=action.digest,
    )


def named(verdict: Ruling) -> Literal["allow", "ask", "deny"]:
    """The verdict in a word; a call that is answered from the record is not made."""
    match verdict:
        case Allow():
            return "allow"
        case Ask():
            return "ask"
        case Deny() | Known():
            return "deny"


def info_of(error: WaggleError | None) -> ErrorInfo | None:
    """The error as a structure."""
    if error is None:
        return None
    return error.info if isinstance(error, ToolError) else ErrorInfo(code=error.code, message=str(error))
