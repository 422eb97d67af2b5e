"""Waggle as an MCP server: tasks are handed in, followed and cancelled over the gateway's API, as the commands do.

What a person is asked is shown and cannot be answered here: a model must not approve what was asked because of a model.
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

from schemas.event import State
from schemas.task import Result, Shape, Task
from services.cli.api.client import AwayError, Gateway, NotFoundError
from services.cli.api.models import RunStatus
from services.cli.exit_codes import ENDED, ConsoleError

T = TypeVar("T")

LOOK_EVERY = 1.0
"""Seconds between two looks at a run that is followed."""

LONGEST = 3_600.0

RunId = Annotated[str, Field(description="As `submit_task` has returned it.", min_length=1, max_length=200)]
Seconds = Annotated[float, Field(gt=0, le=LONGEST, description="Return after so long, even if the run goes on.")]

_READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
_HANDS_IN = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=False)
_ENDS = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True)

_ABOUT = """\
Waggle is a swarm of AI agents. Hand a task in with submit_task, follow it with follow_run until it has ended, then read
get_result. A run that waits for a person says so; a person answers it with `waggle approvals`, not you."""


def server(connect: Callable[[], Gateway]) -> MCPServer:
    """The server. Each call has a client of its own."""
    tools = Tools(connect)
    made = MCPServer("waggle", instructions=_ABOUT, version="0.1.0", log_level="WARNING")
    for function, kind in (
        (tools.submit_task, _HANDS_IN),
        (tools.run_status, _READS),
        (tools.follow_run, _READS),
        (tools.get_result, _READS),
        (tools.cancel_run, _ENDS),
    ):
        made.add_tool(function, annotations=kind)
    return made


class Tools:
    """What a client may do."""

    def __init__(self, connect: Callable[[], Gateway]) -> None:
        self._connect = connect

    async def submit_task(
        self,
        objective: Annotated[str, Field(description="What is to be achieved, in plain words.", min_length=1)],
        agent: Annotated[str | None, Field(description="The one agent to use, instead of a plan.")] = None,
        constraints: Annotated[list[str] | None, Field(description="Rules the result must keep.")] = None,
        dry_run: Annotated[bool, Field(description="Call no tool that changes anything.")] = False,
        key: Annotated[str | None, Field(description="The same key twice is one run.")] = None,
    ) -> dict[str, Any]:
        """Hand a task in. Returns its `run_id` at once; the run goes on by itself."""
        shape = Shape.SINGLE if agent else Shape.AUTO
        try:
            task = Task(objective=objective, agent=agent, shape=shape, constraints=constraints or [], dry_run=dry_run)
        except ValidationError as wrong:
            raise ToolError(f"{wrong.errors()[0]['loc']}: {wrong.errors()[0]['msg']}") from None
        return await self._ask(lambda gateway: gateway.submit(task, key or uuid4().hex))

    async def run_status(self, run_id: RunId) -> RunStatus:
        """Where a run stands: state, steps, cost, and what it waits for."""
        return await self._ask(lambda gateway: RunStatus.model_validate(gateway.run(run_id)))

    async def follow_run(self, run_id: RunId, ctx: Context[Any], seconds: Seconds = 300.0) -> RunStatus:
        """Wait until a run has ended or waits for a person, telling what changes as progress."""
        told, until = 0, time.monotonic() + seconds
        said = ""
        while True:
            status = await self._status(run_id, until)
            if (now := _summary(status)) != said:
                told, said = told + 1, now
                await ctx.report_progress(told, message=said)
            ended = status.state in ENDED and not status.settling
            if ended or status.state is State.WAITING_HUMAN or time.monotonic() >= until:
                return status
            await anyio.sleep(LOOK_EVERY)

    async def get_result(self, run_id: RunId) -> Result:
        """How a run has ended: its answer, the files it made, its cost. An error while it goes on."""
        return await self._ask(lambda gateway: gateway.result(run_id))

    async def cancel_run(
        self, run_id: RunId, reason: Annotated[str, Field(description="Kept with the run.", min_length=1)]
    ) -> dict[str, Any]:
        """End a run: no further call is made for it; a call under way may still complete."""
        return await self._ask(lambda gateway: gateway.command(run_id, "cancel", by="an MCP client", reason=reason))

    async def _status(self, run_id: str, until: float) -> RunStatus:
        """The run, waited for while the gateway is away."""
        while True:
            try:
                return await self._ask(lambda gateway: RunStatus.model_validate(gateway.run(run_id)))
            except AwayToolError:
                if time.monotonic() >= until:
                    raise
                await anyio.sleep(LOOK_EVERY)

    async def _ask(self, what: Callable[[Gateway], T]) -> T:
        def asked() -> T:
            with self._connect() as gateway:
                return what(gateway)

        try:
            return await anyio.to_thread.run_sync(asked)
        except AwayError as away:
            raise AwayToolError(_told(away)) from None
        except NotFoundError:
            raise ToolError("there is no such run") from None
        except ConsoleError as error:
            raise ToolError(_told(error)) from None


class AwayToolError(ToolError):
    """The gateway cannot be reached right now."""


def _told(error: ConsoleError) -> str:
    return f"{error.message}; {error.action}" if error.action else error.message


def _summary(status: RunStatus) -> str:
    """One line: the state, what is done and who works."""
    done = sum(step.status == "done" for step in status.steps)
    working = ", ".join(step.agent for step in status.steps if step.status == "running")
    steps = f", {done} of {len(status.steps)} steps done" if status.steps else ""
    asked = f": {status.waiting_for.question[:200]}" if status.waiting_for else ""
    return f"{status.state}{steps}{f', {working} working' if working else ''}{asked}"
