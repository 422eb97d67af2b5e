"""The tools of one handoff: what the model is offered, and every call it makes, checked and bounded."""

import json
import time
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any

from shared.agent.actions import ParsedToolCall
from shared.agent.spending import OK, meter_tool
from shared.guardrails import named, origin_of, wrap, wrap_error
from shared.llm import ToolRequest
from shared.telemetry import traces
from shared.telemetry.contents import set_content
from shared.telemetry.conventions import GEN_AI_TOOL_RESULT
from shared.telemetry.metrics import Metrics
from shared.tools import OUTCOME_UNKNOWN, Effect, Tool, ToolContext, ToolError
from shared.tools.call import INVALID_ARGUMENTS
from shared.tools.runtime import ToolExecutor

LARGEST_RESULT = 60_000
"""Characters of one tool result the model is shown; of a larger one it is shown the half at most, as text."""


class Toolbox:
    """Calls tools on behalf of a model. What goes wrong is an answer to the model, never an exception.

    `made`: how many calls of a tool the step has made so far.
    """

    def __init__(
        self,
        tools: Sequence[Tool],
        wanted: Sequence[str],
        *,
        dry_run: bool,
        metrics: Metrics,
        executor: ToolExecutor,
        made: Callable[[str], int],
    ) -> None:
        self._tools = {tool.name: tool for tool in tools if not wanted or tool.name in wanted}
        self._dry_run = dry_run
        self._metrics = metrics
        self._executor = executor
        self._made = made

    @property
    def offered(self) -> list[dict[str, Any]]:
        """The tools as the wire protocol has them."""
        return [
            {"type": "function", "function": {"name": t.name, "description": t.description, "parameters": t.schema}}
            for t in self._tools.values()
        ]

    def is_local(self, name: str) -> bool:
        """Whether a replay has to run this tool again."""
        return name in self._tools and self._tools[name].local

    def must_not_repeat(self, name: str) -> bool:
        """Whether calling this tool twice would do something twice."""
        found = self._tools.get(name)
        return found is not None and not self._dry_run and found.must_not_repeat

    def only_reads(self, name: str) -> bool:
        """Whether calling this tool changes nothing outside, so that it may be cut off."""
        found = self._tools.get(name)
        return found is None or self._dry_run or found.local or found.effect is Effect.READ

    def read(self, request: ToolRequest) -> ParsedToolCall:
        """The call that a model asks for, and what is wrong with it."""
        try:
            tool = self._tools.get(request.name) or self._unknown(request.name)
        except ToolError as unknown:
            return ParsedToolCall(None, {}, unknown)
        try:
            arguments = _arguments(request)
        except ToolError as unreadable:
            return ParsedToolCall(tool, {}, unreadable)
        return ParsedToolCall(tool, arguments, tool.misfit(arguments))

    def is_dry(self, call: ParsedToolCall) -> bool:
        """Whether the call is shown only: it would change something, and nothing shall be changed."""
        return self._dry_run and call.tool is not None and call.tool.effect is not Effect.READ

    def refuse(self, request: ToolRequest, call_id: str, error: ToolError) -> str:
        """What the model is told of a call that is not made, which is traced and counted like one that failed."""
        with traces.executing_tool(request.name, call_id, request.arguments, replay=False) as span:
            traces.failed(span, error.code, str(error))
            answer = json.dumps({"error": error.info.model_dump(mode="json")}, ensure_ascii=False)
            set_content(span, GEN_AI_TOOL_RESULT, answer)
        meter_tool(self._metrics, self._known(request), error.code, 0.0)
        return answer

    def recalled(self, request: ToolRequest, call_id: str, answer: str) -> str:
        """The recorded answer of an earlier, equal call: traced, and not counted among the calls."""
        with traces.executing_tool(request.name, call_id, request.arguments, replay=True) as span:
            set_content(span, GEN_AI_TOOL_RESULT, answer)
        return answer

    async def answer(self, request: ToolRequest, call: ToolContext, *, replay: bool = False) -> str:
        """The tool's result as JSON, sanitised and with its origin, or an `error` with what the model can do about it.

        `replay`: it was answered before, and runs again for what it does to the folder. Raises ToolError only for a
        call that must not be repeated and whose outcome is unknown.
        """
        with traces.executing_tool(request.name, call.call_id, request.arguments, replay=replay) as span:
            began, outcome = time.monotonic(), OK
            try:
                answer = await self._run(request, call)
            except ToolError as error:
                outcome = error.code
                if outcome == OUTCOME_UNKNOWN and self.must_not_repeat(request.name):
                    raise
                traces.failed(span, outcome, str(error))
                answer = _outside(error, request)
            finally:
                meter_tool(self._metrics, self._known(request), outcome, time.monotonic() - began)
            set_content(span, GEN_AI_TOOL_RESULT, answer)
            return answer

    async def _run(self, request: ToolRequest, call: ToolContext) -> str:
        tool, arguments = self._tools.get(request.name) or self._unknown(request.name), _arguments(request)
        done = await self._executor.run(tool, arguments, call, made=self._made(tool.name))
        answer = wrap(origin_of(tool.name, arguments, ours=tool.source is None), done.result) | done.marks
        text = json.dumps(answer["result"], ensure_ascii=False)
        if len(text) <= LARGEST_RESULT:
            return json.dumps(answer, ensure_ascii=False)
        if tool.effect is Effect.READ:
            raise ToolError(
                "result_too_large",
                f"the result of {tool.name} has {len(text)} characters, more than {LARGEST_RESULT}",
                suggested_action="ask for less: a smaller limit, fewer columns, a narrower query",
            )
        return json.dumps(answer | {"result": _cut(text)}, ensure_ascii=False)

    def _known(self, request: ToolRequest) -> str:
        return request.name if request.name in self._tools else "unknown"

    def _unknown(self, name: str) -> Tool:
        near = get_close_matches(name, self._tools, n=1)
        hint = f"did you mean `{near[0]}`?" if near else "use one of the tools there are"
        there = ", ".join(self._tools) or "none"
        raise ToolError("unknown_tool", f"there is no tool `{name}`; there are: {there}", suggested_action=hint)


def _outside(error: ToolError, request: ToolRequest) -> str:
    """An error of a tool as the model is shown it: its message may quote what came from outside."""
    told = wrap_error(named("tool", request.name), error.info.model_dump(mode="json"))
    return json.dumps(told, ensure_ascii=False)


def _cut(text: str) -> dict[str, Any]:
    """Of a result that is too large its beginning: refused, it would look as if nothing had happened."""
    return {"cut": True, "characters": len(text), "beginning": text[: LARGEST_RESULT // 2]}


def _arguments(request: ToolRequest) -> dict[str, Any]:
    """What can also be written down: JSON may escape half a surrogate pair, which is no character."""
    try:
        arguments = json.loads(request.arguments)
        json.dumps(arguments, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        message = f"the arguments of {request.name} hold half a character (\\ud800 to \\udfff without its other half)"
        raise _unfit(message, hint="call it again with whole characters only") from None
    except (ValueError, RecursionError) as broken:
        raise _unfit(f"the arguments of {request.name} are not JSON: {broken}") from None
    if not isinstance(arguments, dict):
        raise _unfit(f"the arguments of {request.name} must be a JSON object")
    return arguments


def _unfit(message: str, hint: str = "call it again with a JSON object that fits its schema") -> ToolError:
    return ToolError(INVALID_ARGUMENTS, message, suggested_action=hint)
