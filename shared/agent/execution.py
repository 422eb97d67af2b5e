"""Execution of one handoff: time limit, span, restart after a change of version, handler, output guardrails, answer."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from schemas.step import Answer, DoStep, Findings, HelpAsked
from shared.agent.declare import HandOff
from shared.agent.handed import hand_off_draft, refusal_of_handed
from shared.agent.handoff_run import NOT_AWAITED, HandoffRun
from shared.agent.outgoing import guarded
from shared.agent.replying import (
    AnswerDraft,
    build_answer,
    draft_for,
    draft_within,
    failure,
    journal_entry_of,
    recorded_answer,
)
from shared.agent.restart import restart
from shared.agent.results import as_findings
from shared.agent.running import RunningContext
from shared.agent.tools import Diverged, HandingOver
from shared.blackboard.journal import ANSWER
from shared.errors import Unwanted
from shared.guardrails import read_policy
from shared.telemetry import agent_spans, traces

REPLAY_WITHIN = 30.0
"""Seconds to replay a handoff that its run no longer awaits. The replay makes no new call."""

SKEW = timedelta(minutes=5)
"""Largest difference between this host's clock and the orchestrator's. Moments are not compared more closely."""

log = structlog.get_logger()


async def execute(handoff_run: HandoffRun) -> Answer:
    """Return the answer that the journal has; otherwise execute the handoff and record its answer."""
    name = ANSWER + handoff_run.handoff.id
    if name in handoff_run.journal:
        return recorded_answer(handoff_run.journal[name], handoff_run.handoff.token)
    answer = await _new_answer(handoff_run)
    await handoff_run.journal.write(name, journal_entry_of(answer))
    return answer


async def _new_answer(handoff_run: HandoffRun) -> Answer:
    started = time.monotonic()
    handoff_run.recall()
    draft = await _draft(handoff_run)
    draft.fields.update(await handoff_run.totals())
    authorizer = handoff_run.authorizer
    authorizer.before_message(draft.kind.wire_type())
    draft.fields.update(judged=authorizer.verdicts, acted=authorizer.acted, versions=handoff_run.runtime.versions)
    draft.fields["messages_read"] = handoff_run.messages_read
    if draft.kind is HelpAsked and draft.fields.get("proposal") is None:
        draft.fields["background"] = authorizer.background
    draft.fields["seconds"] = round(time.monotonic() - started, 3)
    return build_answer(handoff_run.agent.name, handoff_run.handoff, draft)


async def _draft(handoff_run: HandoffRun) -> AnswerDraft:
    """Return the agent's answer, or the failure that its work ends in."""
    try:
        seconds = await _time_limit(handoff_run)
        handoff_run.start(seconds)
        if (altered := refusal_of_handed(handoff_run.handoff)) is not None:
            return altered
        return await draft_within(seconds, _in_span(handoff_run), handoff_run.agent.name)
    except Unwanted as error:
        log.info("handoff_unwanted", run=handoff_run.handoff.run_id, handoff=handoff_run.handoff.id)
        return failure(error.code, str(error), retryable=True)


async def _time_limit(handoff_run: HandoffRun) -> float:
    """Return the seconds the agent may work. An unwanted handoff with a journal is replayed, to report what it did.

    Raises Unwanted when there is nothing to report, and RetryableError `unknown_run`.
    """
    handoff, longest = handoff_run.handoff, handoff_run.runtime.settings.step_timeout
    if await handoff_run.runtime.is_awaited(handoff):
        return min(handoff.timeout, longest, seconds_until(handoff.deadline))
    if not handoff_run.journal.entries():
        raise Unwanted(NOT_AWAITED)
    return min(REPLAY_WITHIN, longest)


def seconds_until(deadline: datetime) -> float:
    """Return the seconds until the deadline has passed on every clock within `SKEW`.

    A backstop only: the handoff's `timeout` is the effective limit.
    """
    return max(0.0, (deadline + SKEW - datetime.now(UTC)).total_seconds())


async def _in_span(handoff_run: HandoffRun) -> AnswerDraft:
    agent, handoff = handoff_run.agent.name, handoff_run.handoff
    step, handed = getattr(handoff, "step_id", agent), getattr(handoff, "handed", None)
    versions, by = handoff_run.runtime.versions, handed.by if handed else None
    with agent_spans.invoking_agent(
        agent, handoff.run_id, step, handoff.id, versions, hop=handoff.hop, handed_by=by
    ) as span:
        try:
            draft = await _with_restart(handoff_run)
            agent_spans.record_handed_over(span, draft.fields.get("to"))
            return draft
        finally:
            traces.record_usage(span, handoff_run.budget.counter.usage)


async def _with_restart(handoff_run: HandoffRun) -> AnswerDraft:
    """Run the handler; once more from the start if another version, which made other calls, wrote the journal."""
    try:
        return await _in_workspace(handoff_run)
    except Diverged as diverged:
        log.warning(
            "journal_diverged", run=handoff_run.handoff.run_id, handoff=handoff_run.handoff.id, reason=str(diverged)
        )
        await restart(handoff_run, diverged)
    return await _in_workspace(handoff_run)


async def _in_workspace(handoff_run: HandoffRun) -> AnswerDraft:
    try:
        returned = as_findings(await _run_handler(handoff_run), handoff_run.agent.result)
        if isinstance(returned, Findings | HandOff):
            policy = read_policy(handoff_run.runtime.settings.guardrails)
            returned = await asyncio.to_thread(guarded, returned, policy, handoff_run.handoff.tenant)
        if isinstance(returned, HandOff):
            return hand_off_draft(returned, handoff_run)
        return draft_for(returned, handoff_run)
    finally:
        await handoff_run.workspace.close()


async def _run_handler(handoff_run: HandoffRun) -> Any:
    """Apply an approved plan, or call the agent's handler; a handoff of its model is the handler's return value."""
    handler, handoff = handoff_run.agent.handler, handoff_run.handoff
    assert handler is not None, "an agent is served with a handler"
    context = RunningContext(handoff_run)
    if isinstance(handoff, DoStep) and handoff_run.applies_plan:
        from shared.agent.apply import apply_plan  # noqa: PLC0415 -- few handoffs apply a dry run

        return await apply_plan(handoff, context)
    try:
        return await handler(handoff, context)
    except HandingOver as handing:
        return handing.hand_off
