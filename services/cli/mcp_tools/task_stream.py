"""Status notifications of tasks: `subscriptions/listen` with `taskIds` (SEP-2663)."""

from collections.abc import Iterable
from typing import Any, Literal

import anyio
from mcp.server.context import CallNext, HandlerResult
from mcp.server.mcpserver import require_client_extension
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import SUBSCRIPTION_ID_META_KEY
from mcp.types import (
    Notification,
    NotificationParams,
    SubscriptionFilter,
    SubscriptionsAcknowledgedNotification,
    SubscriptionsAcknowledgedNotificationParams,
)
from mcp.types.jsonrpc import INTERNAL_ERROR, INVALID_PARAMS
from mcp.types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ConfigDict

from services.cli.mcp_tools.runs import POLL_INTERVAL
from services.cli.mcp_tools.task_methods import TASKS, Ctx, TaskMethods

MOST_STREAMS = 100
"""Streams that are open at the same time."""

MOST_TASKS = 100
"""Tasks of one stream."""

_ENDED = frozenset({"completed", "cancelled", "failed"})


class _Params(NotificationParams):
    model_config = ConfigDict(extra="allow")


class TaskChanged(Notification[_Params, Literal["notifications/tasks"]]):
    """A task as `tasks/get` shows it, whenever that has changed."""


class TaskStreams:
    """Middleware that serves listening for tasks; every other request passes."""

    def __init__(self, methods: TaskMethods) -> None:
        self._methods = methods
        self._places = anyio.CapacityLimiter(MOST_STREAMS)

    async def __call__(self, ctx: Ctx, call_next: CallNext) -> HandlerResult:
        """Serve a request to listen for tasks until these have ended. Raises MCPError."""
        asked = _asked(ctx)
        if "taskIds" not in asked:
            return await call_next(ctx)
        require_client_extension(ctx, TASKS)
        names = asked["taskIds"]
        if not isinstance(names, list) or len(names) > MOST_TASKS or not all(isinstance(each, str) for each in names):
            raise MCPError(INVALID_PARAMS, f"taskIds must be a list of at most {MOST_TASKS} ids")
        place = object()
        try:
            self._places.acquire_on_behalf_of_nowait(place)
        except anyio.WouldBlock:
            raise MCPError(INTERNAL_ERROR, f"{MOST_STREAMS} streams are open") from None
        try:
            return await self._serve(ctx, dict.fromkeys(names))
        finally:
            self._places.release_on_behalf_of(place)

    async def _serve(self, ctx: Ctx, names: Iterable[str]) -> dict[str, Any]:
        """Acknowledge the tasks that exist, then report each now and whenever it changes."""
        meta = {SUBSCRIPTION_ID_META_KEY: ctx.request_id}
        shown: dict[str, Any] = {name: None for name in names if await self._present(ctx, name)}
        honoured = SubscriptionFilter.model_validate({"taskIds": list(shown)})
        params = SubscriptionsAcknowledgedNotificationParams(notifications=honoured, _meta=meta)
        await ctx.session.send_notification(SubscriptionsAcknowledgedNotification(params=params), ctx.request_id)
        while shown:
            for name, before in [*shown.items()]:
                task = await self._present(ctx, name)
                if task and task != before:
                    changed = TaskChanged(method="notifications/tasks", params=_Params(**task, _meta=meta))
                    await ctx.session.send_notification(changed, ctx.request_id)  # type: ignore[arg-type] # an extension's
                    shown[name] = task
                if task == {} or (task and task["status"] in _ENDED):
                    del shown[name]
            await anyio.sleep(POLL_INTERVAL if shown else 0)
        return {"resultType": "complete", "_meta": meta}

    async def _present(self, ctx: Ctx, name: str) -> dict[str, Any] | None:
        """Return the task; an empty one if it is unknown or forgotten, and None while the gateway is unavailable."""
        try:
            return await self._methods.task(name, asks=self._methods.asks(ctx))
        except MCPError as failed:
            return {} if failed.code == INVALID_PARAMS else None


def _asked(ctx: Ctx) -> dict[str, Any]:
    """Return the notifications that a request of the present protocol asks to listen for."""
    if ctx.method != "subscriptions/listen" or ctx.protocol_version not in MODERN_PROTOCOL_VERSIONS:
        return {}
    asked = (ctx.params or {}).get("notifications")
    return asked if isinstance(asked, dict) else {}
