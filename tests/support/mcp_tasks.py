"""A client of MCP's tasks extension: the methods of SEP-2663, for the official client of the `mcp` package."""

import asyncio
from typing import Any, ClassVar, Literal

from mcp.client.extension import ClaimContext, ClientExtension, NotificationBinding, ResultClaim
from mcp.types import CallToolResult, NotificationParams, Request, RequestParams, Result, SubscriptionFilter
from pydantic import ConfigDict

TASKS = "io.modelcontextprotocol/tasks"


class Task(Result):
    """A task, as any answer shows it."""

    model_config = ConfigDict(extra="allow")

    task_id: str
    status: str
    status_message: str | None = None
    created_at: str
    last_updated_at: str
    ttl_ms: int | None
    poll_interval_ms: int | None = None
    result: dict[str, Any] | None = None


class CreatedTask(Task):
    """The answer to a call of a tool that became a task."""

    result_type: Literal["task"] = "task"


class ChangedTask(NotificationParams):
    """A status notification."""

    model_config = ConfigDict(extra="allow")

    task_id: str
    status: str
    result: dict[str, Any] | None = None


class TaskParams(RequestParams):
    task_id: str
    input_responses: dict[str, Any] | None = None


class TaskRequest(Request[TaskParams, str]):
    name_param: ClassVar[str | None] = "taskId"


class ListenParams(RequestParams):
    notifications: SubscriptionFilter


class TasksClient(ClientExtension):
    """Declares the extension, and waits for tasks as the spec says: `call_tool` returns the final result."""

    identifier = TASKS

    def __init__(self):
        self.changes = []
        """Status notifications so far."""

    def claims(self):
        return [ResultClaim(result_type="task", model=CreatedTask, resolve=self._resolve)]

    def notifications(self):
        return [NotificationBinding(method="notifications/tasks", params_type=ChangedTask, handler=self._changed)]

    async def _changed(self, task):
        self.changes.append(task)

    async def _resolve(self, task: CreatedTask, context: ClaimContext) -> CallToolResult:
        return await outcome(context.session, task.task_id)


async def listened(session, **asked):
    """The answer to a request to listen, which comes when its stream ends."""
    params = ListenParams(notifications=SubscriptionFilter.model_validate(asked))
    return await session.send_request(Request(method="subscriptions/listen", params=params), Result)


async def outcome(session, task_id):
    """The result of a task, polled until it is completed."""
    while (task := await asked(session, "tasks/get", task_id)).status == "working":
        await asyncio.sleep(0.05)
    assert task.status == "completed", task
    return CallToolResult.model_validate(task.result, by_name=False)


async def asked(session, method, task_id, **params):
    """The answer to a request about a task."""
    kind = Task if method == "tasks/get" else Result
    return await session.send_request(TaskRequest(method=method, params=TaskParams(task_id=task_id, **params)), kind)


async def created(session, **arguments):
    """The task that a call of `run_task` becomes."""
    return await session.call_tool("run_task", arguments, allow_claimed=True)
