"""Verdicts as an answer reports them, and errors as the rules read them."""

from schemas.error import ErrorInfo
from schemas.plan import Risk
from schemas.verdict import CallFacts, Judgement
from shared.authorization import Action, Allow, Ruling, verdict_name
from shared.errors import WaggleError
from shared.tools import ToolError

LONGEST_REASON = 500
"""Characters."""


def verdict_record(
    action: Action, verdict: Ruling, risk: Risk | None = None, facts: CallFacts | None = None
) -> Judgement:
    """Return the record of one verdict. `risk`: effective risk of a tool call; `facts`: its input of the rules."""
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
        facts=facts,
    )


def info_of(error: WaggleError | None) -> ErrorInfo | None:
    """Return the error as a structure."""
    if error is None:
        return None
    return error.info if isinstance(error, ToolError) else ErrorInfo(code=error.code, message=str(error))
