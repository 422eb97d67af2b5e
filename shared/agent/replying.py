"""Answers of an agent: kind and facts, from what its handler returned or from the error it ended with."""

from typing import Any

from schemas.error import ErrorInfo
from schemas.plan import Plan
from schemas.step import (
    Answer,
    Findings,
    HandoffFailed,
    HelpAsked,
    Output,
    PlanProposed,
    ResultReviewed,
    StepCompleted,
    Verdict,
)
from shared.agent.declare import AskHuman
from shared.agent.gate import Gate
from shared.agent.workspace import StepWorkspace
from shared.errors import TerminalError


def answer_for(returned: Any, workspace: StepWorkspace, gate: Gate) -> tuple[type[Answer], dict[str, Any]]:
    """The type of what a handler returned is the routing."""
    match returned:
        case Findings():
            facts = {name: getattr(returned, name) for name in Findings.model_fields}
            facts["caveats"] = [*returned.caveats, *gate.account.spend.caveats]
            return StepCompleted, {"output": Output(**facts, artefacts=workspace.made, effects=gate.shown)}
        case Plan():
            return PlanProposed, {"plan": returned, "tainted": bool(gate.taint)}
        case Verdict():
            return ResultReviewed, returned.model_dump()
        case AskHuman():
            return HelpAsked, returned.model_dump()
    raise TerminalError(f"a handler returned {type(returned).__name__}", code="defect")


def failed(code: str, message: str, *, retryable: bool = False) -> tuple[type[Answer], dict[str, Any]]:
    """The structured failure that a handoff ends in."""
    return HandoffFailed, {"error": ErrorInfo(code=code, message=message, retryable=retryable)}


KINDS: dict[str, type[Answer]] = {
    kind.__name__: kind for kind in (StepCompleted, PlanProposed, ResultReviewed, HelpAsked, HandoffFailed)
}
