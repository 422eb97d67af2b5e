"""Answers of an agent, made from the return value of its handler or from the error it ended with."""

import asyncio
from collections.abc import Awaitable
from typing import Any, NamedTuple

from schemas.error import ErrorInfo
from schemas.plan import Plan
from schemas.question import Kind
from schemas.step import (
    Answer,
    Findings,
    HandedOff,
    Handoff,
    HandoffFailed,
    HelpAsked,
    Output,
    PlanProposed,
    ResultReviewed,
    StepCompleted,
    Synthesis,
    Verdict,
    answer_id,
)
from schemas.synthesis import AnswerWritten
from shared.agent.declare import AskHuman
from shared.agent.handoff_run import HandoffRun
from shared.errors import NeedsHuman, RetryableError, TerminalError


class AnswerDraft(NamedTuple):
    """An answer before it is addressed: its message type, and the fields particular to that type."""

    kind: type[Answer]
    fields: dict[str, Any]


def draft_for(returned: Any, handoff_run: HandoffRun) -> AnswerDraft:
    """Return the answer for the return value of a handler: its type decides the event that the run gets."""
    match returned:
        case Synthesis():
            return AnswerDraft(AnswerWritten, {"synthesis": _synthesis(returned, handoff_run)})
        case Findings():
            return AnswerDraft(StepCompleted, {"output": _output(returned, handoff_run)})
        case Plan():
            return AnswerDraft(PlanProposed, {"plan": returned, "tainted": bool(handoff_run.authorizer.taint)})
        case Verdict():
            return AnswerDraft(ResultReviewed, returned.model_dump())
        case AskHuman():
            return AnswerDraft(HelpAsked, {**returned.model_dump(), "kind": Kind.QUESTION})
    raise TerminalError(f"a handler returned {type(returned).__name__}", code="defect")


def _output(findings: Findings, handoff_run: HandoffRun) -> Output:
    fields: dict[str, Any] = {name: getattr(findings, name) for name in Findings.model_fields}
    fields["caveats"] = [*findings.caveats, *handoff_run.budget.counter.caveats]
    fields["data"] = findings.data if isinstance(findings, Output) else None
    return Output(**fields, artefacts=handoff_run.workspace.made, effects=handoff_run.authorizer.planned_effects)


def _synthesis(written: Synthesis, handoff_run: HandoffRun) -> Synthesis:
    fields: dict[str, Any] = {name: getattr(written, name) for name in Synthesis.model_fields}
    fields["caveats"] = [*written.caveats, *handoff_run.budget.counter.caveats]
    return Synthesis(**fields)


REMEDIES = {
    "budget_exhausted": "raise the budget of the task, or reduce its scope, and submit it again",
    "too_many_turns": "split the task into smaller ones",
    "loop": "word the task differently: the agent repeated a call that did not help it",
    "invalid_reply": "use a model that keeps to the schema, or see the turns of the step for what it replied",
    "timeout": "split the task, or raise WAGGLE_STEP_TIMEOUT",
    "defect": "see the log of the agent, and report the defect",
}
"""Suggested actions by the code of a failure that its error does not explain by itself."""


async def draft_within(seconds: float, work: Awaitable[AnswerDraft], agent: str) -> AnswerDraft:
    """Await the work for so many seconds at most; turn its errors and a timeout into the answer that reports them.

    Raises Unwanted.
    """
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await work
    except NeedsHuman as ask:
        about = {"call": ask.call, "proposal": ask.proposal, "kind": ask.kind}
        return AnswerDraft(HelpAsked, {"question": str(ask), "options": list(ask.options), **about})
    except RetryableError as error:
        return failure(error.code, str(error), retryable=True)
    except TerminalError as error:
        return failure(error.code, str(error))
    except TimeoutError as error:
        if limit.expired():
            return failure("timeout", f"agent {agent} did not finish within {seconds:.0f} s")
        return failure("gave_up_waiting", f"agent {agent} stopped waiting: {error!r}", retryable=True)


def failure(code: str, message: str, *, retryable: bool = False) -> AnswerDraft:
    """Return the answer that reports a failed handoff."""
    about = {"code": code, "message": message, "retryable": retryable, "suggested_action": REMEDIES.get(code)}
    return AnswerDraft(HandoffFailed, {"error": ErrorInfo.model_validate(about)})


def build_answer(agent: str, handoff: Handoff, draft: AnswerDraft) -> Answer:
    """Return the answer, addressed to the run of the handoff."""
    about = {"id": answer_id(handoff.id), "run_id": handoff.run_id, "tenant": handoff.tenant}
    address = {**about, "agent": agent, "handoff_id": handoff.id, "token": handoff.token}
    return draft.kind.model_validate(address | draft.fields)


def journal_entry_of(answer: Answer) -> dict[str, Any]:
    """Return the journal entry of an answer. The token is left out, since each delivery carries it."""
    return {"kind": type(answer).__name__, "answer": answer.model_dump(mode="json", exclude={"token"})}


def recorded_answer(entry: dict[str, Any], token: str | None) -> Answer:
    """Return the answer of a journal entry."""
    return _KINDS[entry["kind"]].model_validate(entry["answer"] | {"token": token})


_KINDS: dict[str, type[Answer]] = {
    kind.__name__: kind
    for kind in (StepCompleted, HandedOff, PlanProposed, AnswerWritten, ResultReviewed, HelpAsked, HandoffFailed)
}
