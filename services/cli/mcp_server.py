"""Waggle as an MCP server: tools that submit, follow and cancel runs over the gateway's API, as the commands do.

A run's question to a person is shown but cannot be answered here: a model must not approve what a model asked for.
"""

import time
from collections.abc import Callable
from typing import Annotated, Any, TypeVar
from uuid import uuid4

import anyio
import anyio.to_thread
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import Field, ValidationError

from schemas.api.commands import CommandAccepted
from schemas.api.runs import RunView
from schemas.api.tasks import TaskAccepted
from schemas.event import State
from schemas.task import Result, Shape, Task
from services.cli.api.answers import NotFoundError, UnavailableError
from services.cli.api.client import Gateway
from services.cli.exit_codes import ENDED, CommandError

T = TypeVar("T")

POLL_INTERVAL = 1.0
"""Seconds between two reads of a run that is followed."""

LONGEST = 3_600.0
"""Seconds one call of `follow_run` may last."""

RunId = Annotated[str, Field(description="Run id, as `submit_task` returned it.", min_length=1, max_length=200)]
Seconds = Annotated[
    float, Field(gt=0, le=LONGEST, description="Maximum seconds to wait; the run continues after that.")
]

_READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
_SUBMITS = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=False)
_ENDS = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True)

_ABOUT = """\
Waggle is a swarm of AI agents. Submit a task with submit_task, follow it with follow_run until it has ended, then read
get_result. If a run waits for a person, report it: a person answers with `waggle approvals`, not you."""


def server(connect: Callable[[], Gateway]) -> MCPServer:
    """Return the server. Each call opens its own client."""
    tools = Tools(connect)
    created = MCPServer("waggle", instructions=_ABOUT, version="0.1.0", log_level="WARNING")
    for function, kind in (
        (tools.submit_task, _SUBMITS),
        (tools.run_status, _READS),
        (tools.follow_run, _READS),
        (tools.get_result, _READS),
        (tools.cancel_run, _ENDS),
    ):
        created.add_tool(function, annotations=kind)
    return created


class Tools:
    """The tools that a client may call."""

    def __init__(self, connect: Callable[[], Gateway]) -> None:
        self._connect = connect

    async def submit_task(
        self,
        objective: Annotated[str, Field(description="The objective, in plain words.", min_length=1)],
        agent: Annotated[str | None, Field(description="The only agent to use, instead of a plan.")] = None,
        constraints: Annotated[list[str] | None, Field(description="Rules that the result must follow.")] = None,
        dry_run: Annotated[bool, Field(description="Call reading tools only, and list the other calls.")] = False,
        key: Annotated[str | None, Field(description="Idempotency key: tasks with the same key are one run.")] = None,
    ) -> TaskAccepted:
        """Submit a task. Returns its `run_id` at once; the run continues on its own."""
        shape = Shape.SINGLE if agent else Shape.AUTO
        try:
            task = Task(objective=objective, agent=agent, shape=shape, constraints=constraints or [], dry_run=dry_run)
        except ValidationError as invalid:
            raise ToolError(_problem(invalid)) from None
        return await self._call(lambda gateway: gateway.submit(task, key or uuid4().hex))

    async def run_status(self, run_id: RunId) -> RunView:
        """Return a run's state, steps, cost, and pending question."""
        return await self._call(lambda gateway: gateway.run(run_id))

    async def follow_run(self, run_id: RunId, ctx: Context[Any], seconds: Seconds = 300.0) -> RunView:
        """Wait until a run has ended or waits for a person. Changes are reported as progress."""
        reports, until = 0, time.monotonic() + seconds
        reported = ""
        while True:
            status = await self._status(run_id, until)
            if (summary := _summary(status)) != reported:
                reports, reported = reports + 1, summary
                await ctx.report_progress(reports, message=summary)
            ended = status.state in ENDED and not status.settling
            if ended or status.state is State.WAITING_HUMAN or time.monotonic() >= until:
                return status
            await anyio.sleep(POLL_INTERVAL)

    async def get_result(self, run_id: RunId) -> Result:
        """Return an ended run's result: answer, files, cost. Fails while the run is in progress."""
        return await self._call(lambda gateway: gateway.result(run_id))

    async def cancel_run(
        self, run_id: RunId, reason: Annotated[str, Field(description="Reason, recorded with the run.", min_length=1)]
    ) -> CommandAccepted:
        """End a run. It makes no further calls; a call in progress may still complete."""
        return await self._call(lambda gateway: gateway.command(run_id, "cancel", by="an MCP client", reason=reason))

    async def _status(self, run_id: str, until: float) -> RunView:
        """Return the run, retrying while the gateway is unavailable."""
        while True:
            try:
                return await self._call(lambda gateway: gateway.run(run_id))
            except UnavailableToolError:
                if time.monotonic() >= until:
                    raise
                await anyio.sleep(POLL_INTERVAL)

    async def _call(self, request: Callable[[Gateway], T]) -> T:
        def send() -> T:
            with self._connect() as gateway:
                return request(gateway)

        try:
            return await anyio.to_thread.run_sync(send)
        except UnavailableError as outage:
            raise UnavailableToolError(_sentence(outage)) from None
        except NotFoundError:
            raise ToolError("there is no such run") from None
        except CommandError as error:
            raise ToolError(_sentence(error)) from None


class UnavailableToolError(ToolError):
    """The gateway cannot be reached right now."""


def _sentence(error: CommandError) -> str:
    return f"{error.message}; {error.action}" if error.action else error.message


def _problem(invalid: ValidationError) -> str:
    """Return the first problem, with the field's name."""
    error = invalid.errors()[0]
    return f"{'.'.join(map(str, error['loc']))}: {error['msg']}"


def _summary(status: RunView) -> str:
    """Return the state, the steps done, and the agents at work, on one line."""
    done = sum(step.status == "done" for step in status.steps)
    working = ", ".join(step.agent for step in status.steps if step.status == "running")
    steps = f", {done} of {len(status.steps)} steps done" if status.steps else ""
    asked = f": {status.waiting_for.question[:200]}" if status.waiting_for else ""
    return f"{status.state}{steps}{f', {working} working' if working else ''}{asked}"
