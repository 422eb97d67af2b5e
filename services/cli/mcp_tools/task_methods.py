"""Extension `io.modelcontextprotocol/tasks` (SEP-2663): `run_task` returns a task, which is a run.

The server keeps nothing: every request reads the gateway, so a task outlives this process and its client.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.extension import Extension, MethodBinding
from mcp.server.mcpserver import require_client_extension
from mcp.server.mcpserver.exceptions import ToolError
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import MCP_NAME_HEADER, decode_header_value
from mcp.types import CallToolRequestParams, CallToolResult, RequestParams, TextContent
from mcp.types.jsonrpc import HEADER_MISMATCH, INTERNAL_ERROR, INVALID_PARAMS
from mcp.types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import Field

from schemas.api.runs import RunView
from schemas.event import State
from services.cli.api.client import Gateway
from services.cli.mcp_tools.allowed import Allowed
from services.cli.mcp_tools.calls import AUTHOR, GatewayTools, UnavailableToolError, UnknownToolError
from services.cli.mcp_tools.runs import Handle, call_result, handle_wanted, has_ended
from services.cli.mcp_tools.tasks import decision_of, outstanding, task_of

TASKS = "io.modelcontextprotocol/tasks"

Ctx: TypeAlias = ServerRequestContext[Any, Any]

_VERSIONS = frozenset(MODERN_PROTOCOL_VERSIONS)


class TaskParams(RequestParams):
    """The task that a request is about."""

    task_id: str = Field(min_length=1, max_length=200)


class UpdateParams(TaskParams):
    """Answers to open requests of a task."""

    input_responses: dict[str, dict[str, Any]] = Field(max_length=100)


class TaskMethods(Extension):
    """Tasks for clients that declare the extension; other clients wait for the result of `run_task`."""

    identifier = TASKS

    def __init__(self, connect: Callable[[], Gateway], allowed: Collection[Allowed] = ()) -> None:
        self._gateway = GatewayTools(connect)
        self._decides = Allowed.DECIDE in allowed

    def methods(self) -> list[MethodBinding]:
        """Return the methods of the extension."""
        return [
            MethodBinding("tasks/get", TaskParams, self._get, _VERSIONS),
            MethodBinding("tasks/update", UpdateParams, self._update, _VERSIONS),
            MethodBinding("tasks/cancel", TaskParams, self._cancel, _VERSIONS),
        ]

    async def intercept_tool_call(
        self,
        params: CallToolRequestParams,  # noqa: ARG002 -- signature of mcp
        ctx: Ctx,
        call_next: CallNext,
    ) -> HandlerResult:
        """Return a task if the tool has started a run for it, as `run_task` does, and the client has the extension."""
        if not declares(ctx):
            return await call_next(ctx)
        handle = Handle()
        before = handle_wanted.set(handle)
        try:
            result = await call_next(ctx)
        finally:
            handle_wanted.reset(before)
        if handle.view is None:  # an error of the tool
            return result
        return {"resultType": "task"} | _seed(task_of(handle.view, asks=self.asks(ctx)))

    async def task(self, run_id: str, *, asks: bool) -> dict[str, Any]:
        """Return a task with its result, if it has one. Raises MCPError."""
        status = await self._status(run_id)
        task = task_of(status, asks=asks)
        if has_ended(status) and status.state is not State.CANCELLED:
            task["result"] = (await self._result(run_id)).model_dump(by_alias=True, mode="json", exclude_none=True)
        return task

    async def _get(self, ctx: Ctx, params: TaskParams) -> HandlerResult:
        check(ctx, params)
        return await self.task(params.task_id, asks=self.asks(ctx))

    async def _update(self, ctx: Ctx, params: UpdateParams) -> HandlerResult:
        check(ctx, params)
        status = await self._status(params.task_id)
        known = outstanding(status) if self.asks(ctx) and not has_ended(status) else {}
        accepted = {
            key: given.get("content")
            for key, given in params.input_responses.items()
            if key in known and given.get("action") == "accept"
        }
        try:
            decisions = {key: decision_of(known[key], content or {}) for key, content in accepted.items()}
        except ValueError as wrong:
            raise MCPError(INVALID_PARAMS, f"the answer does not fit the question: {wrong}") from None
        for key, decision in decisions.items():
            await self._command(params.task_id, "decisions", decision, _answered(key))
        return {}

    async def _cancel(self, ctx: Ctx, params: TaskParams) -> HandlerResult:
        check(ctx, params)
        if not has_ended(await self._status(params.task_id)):
            await self._command(params.task_id, "cancel", {"reason": "its MCP client cancelled the task"}, has_ended)
        return {}

    def asks(self, ctx: Ctx) -> bool:
        """Return true if this client's person may answer questions, and is shown them by the client."""
        capabilities = ctx.session.client_capabilities
        return self._decides and capabilities is not None and capabilities.elicitation is not None

    async def _status(self, run_id: str) -> RunView:
        try:
            return await self._gateway.call(lambda gateway: gateway.run(run_id))
        except UnknownToolError as unknown:
            raise MCPError(INVALID_PARAMS, str(unknown)) from None
        except ToolError as error:
            raise MCPError(INTERNAL_ERROR, str(error)) from None

    async def _result(self, run_id: str) -> CallToolResult:
        """Return the result as the tool would: also if the caller may not read it."""
        try:
            return call_result(await self._gateway.call(lambda gateway: gateway.result(run_id)))
        except UnavailableToolError as outage:
            raise MCPError(INTERNAL_ERROR, str(outage)) from None
        except ToolError as error:
            return CallToolResult(content=[TextContent(type="text", text=str(error))], is_error=True)

    async def _command(self, run_id: str, verb: str, order: Mapping[str, Any], done: Callable[[RunView], bool]) -> None:
        """Send a command. One that is refused because it is `done` already counts as sent. Raises MCPError."""
        try:
            await self._gateway.call(lambda gateway: gateway.command(run_id, verb, by=AUTHOR, **order))
        except UnavailableToolError as outage:
            raise MCPError(INTERNAL_ERROR, str(outage)) from None
        except ToolError as error:
            if not done(await self._status(run_id)):
                raise MCPError(INTERNAL_ERROR, str(error)) from None


def declares(ctx: Ctx) -> bool:
    """Return true if the request declares the extension, in a version of the protocol that has it."""
    capabilities = ctx.session.client_capabilities
    declared = capabilities.extensions if capabilities else None
    return ctx.protocol_version in _VERSIONS and TASKS in (declared or {})


def check(ctx: Ctx, params: TaskParams) -> None:
    """Raises MCPError unless the extension is declared, and the HTTP header names the task."""
    require_client_extension(ctx, TASKS)
    headers = getattr(ctx.request, "headers", None)
    if headers is not None and decode_header_value(headers.get(MCP_NAME_HEADER)) != params.task_id:
        raise MCPError(HEADER_MISMATCH, f"the header {MCP_NAME_HEADER} is not the task's id")


def _answered(key: str) -> Callable[[RunView], bool]:
    """Return a test if the question of this key is no longer open."""
    return lambda status: key not in outstanding(status)


def _seed(task: dict[str, Any]) -> dict[str, Any]:
    """Return what a new task may show: neither result nor questions, which only `tasks/get` has."""
    shown = {name: each for name, each in task.items() if name != "inputRequests"}
    return shown | {"status": "working" if task["status"] == "input_required" else task["status"]}
