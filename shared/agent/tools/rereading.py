"""Repetition of the reads that a call rests on, when it is approved on condition that they are unchanged.

The reads of this work are made again, each judged by the gate, and compared with what the model was shown then. A read
that fails counts as changed. The repeated results are not shown to the model.
"""

import asyncio
import hashlib
import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

from schemas.plan import Effect
from schemas.settlement import Settlement
from shared.agent.actions import ParsedToolCall, ToolResult
from shared.agent.handoff_run import HandoffRun
from shared.agent.tools.differences import differences
from shared.agent.tools.identity import identity_of
from shared.agent.tools.making import make_call
from shared.agent.tools.toolbox import Toolbox
from shared.authorization import Allow
from shared.errors import NeedsHuman
from shared.guardrails import origin_in, redacted, sanitised, secrets
from shared.llm import ToolRequest

MOST_READS = 30
"""Reads that are repeated. With more, the call is asked about again."""

WITHIN = 60.0
"""Seconds for all of them."""

MOST_CHANGES, LONGEST_CHANGE = 50, 300
"""Differences that people are shown, and characters of one."""

_LONGEST_ARGUMENTS = 80
_DIGITS = 8


async def changed_reads(handoff_run: HandoffRun, call: ParsedToolCall, settled: Settlement) -> list[str]:
    """Repeat the reads of this work before the call, and return the differences as text; empty if there are none.

    Raises Stopped, Unwanted, and RetryableError.
    """
    toolbox = Toolbox.of(handoff_run)
    reads = _reads(handoff_run, toolbox)
    decision = hashlib.sha256(settled.request_id.encode()).hexdigest()[:_DIGITS]
    place = f"{call.place}/again-{decision}.{handoff_run.handoff.tries}"
    found: list[str] = [] if reads else ["nothing was read in this work that could be read again"]
    if (left_out := len(reads) - MOST_READS) > 0:
        found.append(f"{left_out} of {len(reads)} reads were not repeated: there are too many")
    try:
        async with asyncio.timeout(WITHIN):
            for number, read in enumerate(reads[-MOST_READS:], 1):
                again = await _read_again(handoff_run, toolbox, f"{place}/call-{number}", read)
                found += islice(_changes(read, again), MOST_CHANGES)
    except TimeoutError:
        found.append(f"the reads could not be repeated within {WITHIN:.0f} s")
    return [_clean(each) for each in found[:MOST_CHANGES]]


def _reads(handoff_run: HandoffRun, toolbox: Toolbox) -> list[ToolResult]:
    """Return the successful reads outside the step's folder so far, the last of equal ones, in order."""
    latest: dict[tuple[str, str], ToolResult] = {}
    for each in handoff_run.authorizer.results:
        tool = toolbox.tool(each.tool)
        if each.read_only and each.error is None and tool is not None and tool.effect is Effect.READ:
            key = each.tool, _canonical(each.arguments)
            latest.pop(key, None)
            latest[key] = each
    return list(latest.values())


async def _read_again(handoff_run: HandoffRun, toolbox: Toolbox, name: str, read: ToolResult) -> str:
    """Return the answer to the same read now, recorded under a name of its own."""
    journal, authorizer = handoff_run.journal, handoff_run.authorizer
    if name in journal:
        recorded: str = journal[name]
        return recorded
    call = toolbox.parse(name, ToolRequest(id=name, name=read.tool, arguments=read.arguments))
    try:
        verdict = await authorizer.before_tool_call(call)
    except NeedsHuman:
        return _failed("it now needs an approval")
    if not isinstance(verdict, Allow):
        return _failed(verdict.reason)
    answer = await make_call(handoff_run, toolbox, call)
    handoff_run.budget.counter.add_tool_call()
    await journal.write(name, answer, of=identity_of(handoff_run, call))
    if (origin := origin_in(answer)) is not None:
        authorizer.taint.enter(origin)
    return answer


def _changes(read: ToolResult, again: str) -> Iterator[str]:
    """Yield the differences between two answers to a read, apart from their envelope."""
    name, before, after = (
        f"{read.tool} {read.arguments[:_LONGEST_ARGUMENTS]}",
        json.loads(read.answer),
        json.loads(again),
    )
    if error := after.get("error"):
        yield f"{name}: it could not be read again: {error['message']}"
    elif "stale" in after:
        yield f"{name}: only an earlier result can be read"
    else:
        for each in differences(_content(before), _content(after)):
            yield f"{name}: {each}"


def _content(answer: dict[str, Any]) -> Any:
    return answer.get("result", answer)


def _failed(reason: str) -> str:
    return json.dumps({"error": {"message": reason}}, ensure_ascii=False)


def _canonical(arguments: str) -> str:
    return json.dumps(json.loads(arguments), sort_keys=True)


def _clean(text: str) -> str:
    line = " ".join(sanitised(text).split())
    line = redacted(line, secrets(line))
    return line if len(line) <= LONGEST_CHANGE else f"{line[: LONGEST_CHANGE - 1]}…"
