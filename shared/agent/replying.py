"""Answers of an agent: kind and facts, from what its handler returned or from the error it ended with."""

import asyncio
from collections.abc import Awaitable
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
from shared.agent.actions import ActionAuthorizer
from shared.agent.declare import AskHuman
from shared.agent.workspace import StepWorkspace
from shared.errors import NeedsHuman, RetryableError, TerminalError


def answer_for(
    returned: Any, workspace: StepWorkspace, authorizer: ActionAuthorizer
) -> tuple[type[Answer], dict[str, Any]]:
    """The type of what a handler returned is the routing."""
    match returned:
        case Findings():
            facts = {name: getattr(returned, name) for name in Findings.model_fields}
            facts["caveats"] = [*returned.caveats, *authorizer.budget.counter.caveats]
            return StepCompleted, {"output": Output(**facts, artefacts=workspace.made, effects=authorizer.shown)}
        case Plan():
            return PlanProposed, {"plan": returned, "tainted": bool(authorizer.taint)}
        case Verdict():
            return ResultReviewed, returned.model_dump()
        case AskHuman():
            return HelpAsked, returned.model_dump()
    raise TerminalError(f"a handler returned {type(returned).__name__}", code="defect")


async def outcome_of(
    work: Awaitable[tuple[type[Answer], dict[str, Any]]], seconds: float, agent: str
) -> tuple[type[Answer], dict[str, Any]]:
    """Return the agent's answer, or the structured failure that its work ends in, after that time at the latest.

    Raises Unwanted.
    """
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await work
    except NeedsHuman as asked:
        about = {"call": asked.call, "proposal": asked.proposal}
        return HelpAsked, {"question": str(asked), "options": list(asked.options), **about}
    except RetryableError as failure:
        return failed(failure.code, str(failure), retryable=True)
    except TerminalError as failure:
        return failed(failure.code, str(failure))
    except TimeoutError as own:
        if limit.expired():
            return failed("timeout", f"agent {agent} did not finish within {seconds:.0f} s")
        return failed("gave_up_waiting", f"agent {agent} gave up waiting for something: {own!r}", retryable=True)


def failed(code: str, message: str, *, retryable: bool = False) -> tuple[type[Answer], dict[str, Any]]:
    """The structured failure that a handoff ends in."""
    return HandoffFailed, {"error": ErrorInfo(code=code, message=message, retryable=retryable)}


KINDS: dict[str, type[Answer]] = {
    kind.__name__: kind for kind in (StepCompleted, PlanProposed, ResultReviewed, HelpAsked, HandoffFailed)
}
