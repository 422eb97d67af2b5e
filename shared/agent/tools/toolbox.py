"""The tools of one handoff: offered to the model, parsed, called within limits, and answered as JSON."""

import json
import time
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any

from schemas.error import INVALID_ARGUMENTS
from shared.agent.actions import ParsedToolCall
from shared.agent.handoff_run import HandoffRun
from shared.agent.spending import OK, meter_tool
from shared.agent.tools.board import is_board_tool, marked
from shared.agent.tools.confidence import schema_of, stated
from shared.agent.tools.recall import is_recall
from shared.authorization import Policy
from shared.guardrails import named, origin_of, sanitised_deep, wrap, wrap_error
from shared.llm import ToolRequest
from shared.telemetry import agent_spans, traces
from shared.telemetry.contents import set_content
from shared.telemetry.conventions import GEN_AI_TOOL_RESULT
from shared.telemetry.metrics import Metrics
from shared.tools import OUTCOME_UNKNOWN, Effect, Risk, Tool, ToolContext, ToolError
from shared.tools.runtime import ToolExecutor

LARGEST_RESULT = 60_000
"""Characters of one tool result shown to the model. Of a larger one it is shown half at most, as text."""


class Toolbox:
    """Calls tools on behalf of a model. An error is an answer to the model, not an exception.

    `made`: returns the number of calls of a tool that the step has made so far.
    """

    def __init__(
        self,
        tools: Sequence[Tool],
        wanted: Sequence[str],
        *,
        dry_run: bool,
        policy: Policy,
        metrics: Metrics,
        executor: ToolExecutor,
        made: Callable[[str], int],
    ) -> None:
        self._tools = {tool.name: tool for tool in tools if not wanted or tool.name in wanted}
        self._dry_run = dry_run
        self._policy = policy
        self._metrics = metrics
        self._executor = executor
        self._made = made

    @classmethod
    def of(
        cls,
        handoff_run: HandoffRun,
        names: Sequence[str] = (),
        *,
        also: Sequence[Tool] = (),
        only: Sequence[Tool] | None = None,
    ) -> "Toolbox":
        """Return the toolbox of a handoff, with the tools of these names; without names, with all.

        `also`: tools of the runtime itself; an agent's own tool of the same name replaces one. `only`: tools instead
        of the agent's.
        """

        def made(tool: str) -> int:
            return sum(each.tool == tool for each in handoff_run.authorizer.results)

        tools = handoff_run.agent.tools if only is None else only
        own = {tool.name for tool in tools}
        return cls(
            [*tools, *(tool for tool in also if tool.name not in own)],
            [*names, *(tool.name for tool in also)] if names else [],
            dry_run=handoff_run.handoff.dry_run,
            policy=handoff_run.authorizer.policy,
            metrics=handoff_run.runtime.metrics,
            executor=handoff_run.executor,
            made=made,
        )

    @property
    def offered(self) -> list[dict[str, Any]]:
        """The tools in the format of the chat API."""
        return [
            {"type": "function", "function": {"name": t.name, "description": t.description, "parameters": schema}}
            for t in self._tools.values()
            for schema in [schema_of(t, self._risk(t))]
        ]

    def tool(self, name: str) -> Tool | None:
        """Return the tool of that name, if it is among these."""
        return self._tools.get(name)

    def is_local(self, call: ParsedToolCall) -> bool:
        """Return True for a tool that works on the step's files: a replay runs it again."""
        return call.tool is not None and call.tool.local

    def must_not_repeat(self, call: ParsedToolCall) -> bool:
        """Return True if making the call twice would have its effect twice."""
        return call.tool is not None and self._has_effect_twice(call.tool)

    def only_reads(self, call: ParsedToolCall) -> bool:
        """Return True if the call changes nothing outside, so that it may be cancelled."""
        return call.tool is None or self._dry_run or call.tool.local or call.tool.effect is Effect.READ

    def is_read_only(self, call: ParsedToolCall) -> bool:
        """Return True if the call changes nothing, outside or in the workspace."""
        return self.only_reads(call) and not self.is_local(call)

    def parse(self, place: str, request: ToolRequest) -> ParsedToolCall:
        """Parse and validate the requested call."""
        try:
            tool = self._tools.get(request.name) or self._raise_unknown(request.name)
        except ToolError as unknown:
            return ParsedToolCall(place, request, None, {}, unknown)
        try:
            call = stated(tool, self._risk(tool), request, _arguments(request))
        except ToolError as unreadable:
            return ParsedToolCall(place, request, tool, {}, unreadable)
        arguments = call.arguments
        return ParsedToolCall(place, call.request, tool, arguments, tool.misfit(arguments), call.confidence)

    def is_dry(self, call: ParsedToolCall) -> bool:
        """Return True if the call is only planned: it would change something in a dry run."""
        return self._dry_run and call.tool is not None and call.tool.effect is not Effect.READ

    def refuse(self, call: ParsedToolCall, error: ToolError) -> str:
        """Return the answer to a denied call, traced and counted like a failed one."""
        with agent_spans.executing_tool(call.request.name, call.place, call.request.arguments, replay=False) as span:
            traces.failed(span, error.code, str(error))
            answer = json.dumps({"error": error.info.model_dump(mode="json")}, ensure_ascii=False)
            set_content(span, GEN_AI_TOOL_RESULT, answer)
        meter_tool(self._metrics, self._metric_name(call.request), error.code, 0.0)
        return answer

    def recall(self, call: ParsedToolCall, answer: str) -> str:
        """Return the recorded answer of an earlier, equal call: traced, but not counted as a call."""
        with agent_spans.executing_tool(call.request.name, call.place, call.request.arguments, replay=True) as span:
            set_content(span, GEN_AI_TOOL_RESULT, answer)
        return answer

    def answer_with(self, call: ParsedToolCall, result: Any) -> str:
        """Return the answer of a call with a result that was looked up: traced, but not counted as a call."""
        assert call.tool is not None, "only an offered tool has results"
        return self.recall(call, json.dumps(_wrapped(call.tool, call.arguments, result), ensure_ascii=False))

    async def answer(self, request: ToolRequest, call: ToolContext, *, replay: bool = False) -> str:
        """Return the tool's result as JSON, sanitised, with its origin; or an `error` that suggests a next action.

        `replay`: the call was answered before and runs again only for its effect on the workspace. Raises ToolError
        only for a call that must not be repeated and has an unknown outcome.
        """
        with agent_spans.executing_tool(request.name, call.call_id, request.arguments, replay=replay) as span:
            began, outcome = time.monotonic(), OK
            try:
                answer = await self._run(request, call)
            except ToolError as error:
                outcome = error.code
                if outcome == OUTCOME_UNKNOWN and self._has_effect_twice(self._tools[request.name]):
                    raise
                traces.failed(span, outcome, str(error))
                answer = _error_answer(error, self._tools.get(request.name), request)
            finally:
                meter_tool(self._metrics, self._metric_name(request), outcome, time.monotonic() - began)
            set_content(span, GEN_AI_TOOL_RESULT, answer)
            return answer

    async def _run(self, request: ToolRequest, call: ToolContext) -> str:
        tool, arguments = self._tools.get(request.name) or self._raise_unknown(request.name), _arguments(request)
        done = await self._executor.run(tool, arguments, call, made=self._made(tool.name))
        answer = _wrapped(tool, arguments, done.result) | done.marks
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

    def _risk(self, tool: Tool) -> Risk:
        return self._policy.rules_of(tool.name).risk or tool.risk

    def _has_effect_twice(self, tool: Tool) -> bool:
        return not self._dry_run and tool.must_not_repeat

    def _metric_name(self, request: ToolRequest) -> str:
        return request.name if request.name in self._tools else "unknown"

    def _raise_unknown(self, name: str) -> Tool:
        near = get_close_matches(name, self._tools, n=1)
        hint = f"did you mean `{near[0]}`?" if near else "use one of the available tools"
        available = ", ".join(self._tools) or "none"
        raise ToolError("unknown_tool", f"there is no tool `{name}`; there are: {available}", suggested_action=hint)


def _wrapped(tool: Tool, arguments: dict[str, Any], result: Any) -> dict[str, Any]:
    """Return the result with its origin; without one, if only the swarm itself has written it, or each part has one."""
    if is_recall(tool):
        return {"result": sanitised_deep(result)}
    if not is_board_tool(tool):
        return wrap(tool.origin or origin_of(tool.name, arguments, ours=tool.source is None), result)
    origin = marked(arguments, result)
    return wrap(origin, result) if origin else {"result": sanitised_deep(result)}


def _error_answer(error: ToolError, tool: Tool | None, request: ToolRequest) -> str:
    """Return the error with its origin, since its message may quote untrusted content."""
    origin = (tool.origin if tool else "") or named("tool", request.name)
    wrapped = wrap_error(origin, error.info.model_dump(mode="json"))
    return json.dumps(wrapped, ensure_ascii=False)


def _cut(text: str) -> dict[str, Any]:
    """Return the beginning of a result that is too large: an error would suggest that nothing had happened."""
    return {"cut": True, "characters": len(text), "beginning": text[: LARGEST_RESULT // 2]}


def _arguments(request: ToolRequest) -> dict[str, Any]:
    """Return the arguments. Refuses half a surrogate pair, which JSON can escape and UTF-8 cannot encode."""
    try:
        arguments = json.loads(request.arguments)
        json.dumps(arguments, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        message = f"the arguments of {request.name} hold half a character (\\ud800 to \\udfff without its other half)"
        raise _invalid(message, hint="call it again with whole characters only") from None
    except (ValueError, RecursionError) as broken:
        raise _invalid(f"the arguments of {request.name} are not JSON: {broken}") from None
    if not isinstance(arguments, dict):
        raise _invalid(f"the arguments of {request.name} must be a JSON object")
    return arguments


def _invalid(message: str, hint: str = "call it again with a JSON object that fits its schema") -> ToolError:
    return ToolError(INVALID_ARGUMENTS, message, suggested_action=hint)
