"""The call itself: made behind the kill switch, with its intent recorded first if it must not be repeated."""

from typing import Any

from schemas.question import Kind
from schemas.settlement import REPEAT, Settlement
from shared.agent.actions import ParsedToolCall
from shared.agent.handoff_run import HandoffRun
from shared.agent.tools.identity import identity_of
from shared.agent.tools.toolbox import Toolbox
from shared.blackboard.journal import INTENT, LOST
from shared.errors import NeedsHuman, RetryableError
from shared.tools import ToolContext, ToolError


async def make_call(handoff_run: HandoffRun, toolbox: Toolbox, call: ParsedToolCall) -> str:
    """Make the call and return its answer. Until then it counts as one that may have been made.

    Raises RetryableError when it was not made, NeedsHuman when it is unknown whether it was.
    """
    await handoff_run.report_progress(f"{call.request.name} {call.request.arguments}"[:200])
    handoff_run.authorizer.effects.mark_started(call)
    try:
        if call.place + INTENT not in handoff_run.journal and not toolbox.must_not_repeat(call):
            return await _make_repeatable(handoff_run, toolbox, call)
        return await _make_once(handoff_run, toolbox, call)
    except RetryableError as error:
        handoff_run.authorizer.effects.mark_not_made(call, f"{error.code}: {error}")
        await handoff_run.authorizer.release_if_not_made(call)
        raise


async def answer_found(handoff_run: HandoffRun, toolbox: Toolbox, call: ParsedToolCall) -> str | None:
    """Return the answer of a call that may have been made, if its tool finds that it was; else None."""
    if call.tool is None or call.tool.find is None:
        return None
    if (recorded := handoff_run.runtime.answer_on_record(call)) is not None:
        return recorded
    found = await call.tool.find(**call.tool.validated(call.arguments), call=tool_context(handoff_run, call))
    return None if found is None else toolbox.answer_with(call, found)


async def _make_repeatable(handoff_run: HandoffRun, toolbox: Toolbox, call: ParsedToolCall) -> str:
    """Make a call that may be made twice, unless its tool finds that a killed worker has made it.

    One that only reads is cancelled when the kill switch is turned on.
    """
    attempted = any(name.startswith(call.place + LOST) for name in handoff_run.journal.entries())
    if attempted and (found := await answer_found(handoff_run, toolbox, call)) is not None:
        return found
    answer = _answer_of(handoff_run, toolbox, call)
    return await (handoff_run.authorizer.switch.unless_stopped(answer) if toolbox.only_reads(call) else answer)


async def _make_once(handoff_run: HandoffRun, toolbox: Toolbox, call: ParsedToolCall) -> str:
    """Record the intent, then make the call."""
    journal, intent = handoff_run.journal, call.place + INTENT
    permission = handoff_run.handoff.settled.get(call.place)
    entry = _intent_entry(call, journal.epoch, permission)
    await journal.write(intent, entry, of=identity_of(handoff_run, call))
    try:
        return await _answer_of(handoff_run, toolbox, call)
    except RetryableError:
        await journal.write(intent, None)  # a tool raises it only when nothing has happened
        raise


def _intent_entry(call: ParsedToolCall, epoch: int, permission: Settlement | None) -> dict[str, Any]:
    return {
        "tool": call.request.name,
        "arguments": call.request.arguments,
        "epoch": epoch,
        "permitted_by": permission.request_id if permission else None,
    }


async def _answer_of(handoff_run: HandoffRun, toolbox: Toolbox, call: ParsedToolCall) -> str:
    if (recorded := handoff_run.runtime.answer_on_record(call)) is not None:
        return recorded
    try:
        return await toolbox.answer(call.request, tool_context(handoff_run, call))
    except ToolError as error:  # every other one has become an answer
        raise outcome_unknown(handoff_run, call, f" ({error})") from error


def outcome_unknown(handoff_run: HandoffRun, call: ParsedToolCall, why: str = "") -> NeedsHuman:
    """Return the question about a call that may have happened."""
    request, key = call.request, tool_context(handoff_run, call).idempotency_key
    return NeedsHuman(
        f"{request.name} was called with {request.arguments[:1_000]} and it is not known whether it has "
        f"happened{why}; its idempotency key is {key}",
        options=(
            f"approve, answer beginning with `{REPEAT}`: it has not happened, call it",
            "approve, any other answer: it has happened, resume (the agent gets your answer)",
            "reject: replan, with a reason",
        ),
        call=call.place,
        kind=Kind.OUTCOME,
    )


def tool_context(handoff_run: HandoffRun, call: ParsedToolCall) -> ToolContext:
    """Return the context that a tool gets for this call."""
    handoff = handoff_run.handoff
    return ToolContext(
        run_id=handoff.run_id,
        step_id=getattr(handoff, "step_id", handoff.agent),
        call_id=call.place,
        idempotency_key=f"{handoff.idempotency_key}/{call.place}",
        epoch=handoff_run.journal.epoch,
        tenant=handoff.tenant,
        workspace=handoff_run.workspace,
        settings=handoff_run.runtime.agent_settings,
        tries=handoff.tries,
        report=handoff_run.report_progress,
        wanted=handoff_run.is_wanted,
    )
