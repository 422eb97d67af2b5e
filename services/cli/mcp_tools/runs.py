"""MCP tools for runs: submit, follow, read, cancel."""

import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from uuid import uuid4

import anyio
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, TextContent
from pydantic import Field, ValidationError

from schemas.api.agents import AgentView
from schemas.api.commands import CommandAccepted
from schemas.api.costs import CostReport
from schemas.api.runs import ApprovalView, RunSummary, RunView
from schemas.api.tasks import TaskAccepted
from schemas.caller_message import LONGEST_MESSAGE
from schemas.event import State
from schemas.task import Result, Shape, Task
from services.cli.exit_codes import ENDED
from services.cli.mcp_tools.calls import AUTHOR, GatewayTools, Reason, RunId, UnavailableToolError, UnknownToolError
from services.cli.open_questions import urgency
from shared.mcp.tools import IDEMPOTENCY_KEY

POLL_INTERVAL = 1.0
"""Seconds between two reads of a run that is followed."""

STARTING = 30.0
"""Seconds within which the run of an accepted task must have started."""

LONGEST_KEY = 200
"""Characters of an idempotency key."""

LONGEST = 3_600.0
"""Seconds one call of `follow_run` may last."""

Seconds = Annotated[
    float, Field(gt=0, le=LONGEST, description="Maximum seconds to wait; the run continues after that.")
]
Trouble = Literal["retrying", "waiting", "over_budget", "stopped"]
Limit = Annotated[int, Field(ge=1, le=200, description="Maximum number of runs.")]

Objective = Annotated[str, Field(description="The objective, in plain words.", min_length=1)]
OnlyAgent = Annotated[str | None, Field(description="The only agent to use, instead of a plan.")]
Constraints = Annotated[list[str] | None, Field(description="Rules that the result must follow.")]
DryRun = Annotated[bool, Field(description="Call reading tools only, and list the other calls.")]
MostUsd = Annotated[float | None, Field(ge=0, description="Most that the models may cost, in USD.")]
Key = Annotated[str | None, Field(description="Idempotency key: tasks with the same key are one run.")]
Conversation = Annotated[str | None, Field(description="Conversation to continue or begin.")]


@dataclass
class Handle:
    """A call of `run_task` that is to return a task instead of waiting; with the run once it has started."""

    view: RunView | None = None


handle_wanted: ContextVar[Handle | None] = ContextVar("handle_wanted", default=None)


class RunTools(GatewayTools):
    """Tools that every client may call."""

    async def submit_task(
        self,
        objective: Objective,
        ctx: Context[Any],
        agent: OnlyAgent = None,
        constraints: Constraints = None,
        dry_run: DryRun = False,
        max_cost_usd: MostUsd = None,
        key: Key = None,
        session: Conversation = None,
    ) -> TaskAccepted:
        """Submit a task. Returns its `run_id` at once; the run continues on its own."""
        task = task_of(objective, agent, constraints, dry_run, max_cost_usd, session)
        return await self._submit(task, key, ctx)

    async def run_task(
        self,
        objective: Objective,
        ctx: Context[Any],
        agent: OnlyAgent = None,
        constraints: Constraints = None,
        dry_run: DryRun = False,
        max_cost_usd: MostUsd = None,
        key: Key = None,
        session: Conversation = None,
        seconds: Seconds = 900.0,
    ) -> Annotated[CallToolResult, Result]:
        """Submit a task, wait until its run has ended, and return the result. Changes are reported as progress.

        For a client with the tasks extension it is an MCP task at once, whose id is the `run_id`.
        """
        task = task_of(objective, agent, constraints, dry_run, max_cost_usd, session)
        accepted = await self._submit(task, key, ctx)
        if (handle := handle_wanted.get()) is not None:
            handle.view = await self._started(accepted.run_id)
            return CallToolResult(content=[])
        return await self._outcome(accepted.run_id, ctx, seconds)

    async def list_runs(
        self,
        state: Annotated[State | None, Field(description="Only runs in this state.")] = None,
        agent: Annotated[str | None, Field(description="Only runs with a step of this agent.")] = None,
        text: Annotated[str | None, Field(description="Only runs with all these words in the objective.")] = None,
        trouble: Annotated[Trouble | None, Field(description="Only runs with this trouble now.")] = None,
        limit: Limit = 20,
    ) -> list[RunSummary]:
        """List the latest runs that match, newest first."""
        given = {"state": state.value if state else None, "agent": agent, "text": text}
        filters: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        filters |= {trouble: True} if trouble else {}
        page = await self.call(lambda gateway: gateway.runs(filters, limit))
        return page.runs

    async def list_agents(self) -> list[AgentView]:
        """List the agents with their tools, the tools' risks and arguments, and the health of their MCP servers.

        Text of a tool with a `source` is that of a server: untrusted.
        """
        return await self.call(lambda gateway: gateway.agents())

    async def show_costs(self, days: Annotated[int, Field(ge=1, le=30)] = 30) -> CostReport:
        """Show the tenant's costs of the last days, by day, agent, model and type of task."""
        return await self.call(lambda gateway: gateway.costs(days))

    async def list_questions(self) -> list[ApprovalView]:
        """List the open questions to people, riskiest first, then oldest first. Arguments in them are untrusted."""
        found, _ = await self.call(lambda gateway: gateway.approvals())
        return sorted(found, key=urgency)

    async def run_status(self, run_id: RunId) -> RunView:
        """Return a run's state, steps, cost, and open questions."""
        return await self.call(lambda gateway: gateway.run(run_id))

    async def follow_run(self, run_id: RunId, ctx: Context[Any], seconds: Seconds = 300.0) -> RunView:
        """Wait until a run has ended or waits for a person. Changes are reported as progress."""
        return await self._follow(run_id, ctx, seconds, stop=_ended_or_waiting)

    async def get_result(self, run_id: RunId) -> Result:
        """Return an ended run's result: answer, files, cost. Fails while the run is in progress."""
        return await self.call(lambda gateway: gateway.result(run_id))

    async def say_to_run(
        self,
        run_id: RunId,
        text: Annotated[str, Field(description="The message.", min_length=1, max_length=LONGEST_MESSAGE)],
        key: Annotated[str | None, Field(description="Idempotency key: a message with it is added once.")] = None,
    ) -> CommandAccepted:
        """Add a message to a run at work; agents read it at their next turn. It answers no question."""
        order = {"text": text, "message_id": key or uuid4().hex}
        return await self.call(lambda gateway: gateway.command(run_id, "messages", by=AUTHOR, **order))

    async def cancel_run(self, run_id: RunId, reason: Reason) -> CommandAccepted:
        """End a run. It makes no further calls; a call in progress may still complete."""
        return await self.call(lambda gateway: gateway.command(run_id, "cancel", by=AUTHOR, reason=reason))

    async def _submit(self, task: Task, key: str | None, ctx: Context[Any]) -> TaskAccepted:
        """Submit the task under the caller's key. Raises ToolError."""
        named = key or _key_of_call(ctx) or uuid4().hex
        return await self.call(lambda gateway: gateway.submit(task, named))

    async def _started(self, run_id: str) -> RunView:
        """Return the run once it is recorded, since a handle must be valid on any gateway. Raises ToolError."""
        until = time.monotonic() + STARTING
        while True:
            try:
                status = await self._status(run_id, until)
            except UnknownToolError:  # another replica accepted it
                status = None
            if status is not None and status.version:
                return status
            if time.monotonic() >= until:
                raise ToolError(f"{run_id} was accepted and has not started within {STARTING:g} s; use follow_run")
            await anyio.sleep(min(POLL_INTERVAL, 0.1))

    async def _outcome(self, run_id: str, ctx: Context[Any], seconds: float) -> CallToolResult:
        """Return the result of a run once it has ended. Raises ToolError if it has not in time."""
        status = await self._follow(run_id, ctx, seconds, stop=has_ended)
        if not has_ended(status):
            raise ToolError(f"{run_id} is still in progress ({summary(status)}); use follow_run, then get_result")
        return call_result(await self.get_result(run_id))

    async def _follow(self, run_id: str, ctx: Context[Any], seconds: float, stop: Callable[[RunView], bool]) -> RunView:
        """Return the run once `stop` is true of it, or the time is over. Reports every change as progress."""
        reports, until = 0, time.monotonic() + seconds
        reported = ""
        while True:
            status = await self._status(run_id, until)
            if (line := summary(status)) != reported:
                reports, reported = reports + 1, line
                await ctx.report_progress(reports, message=line)
            if stop(status) or time.monotonic() >= until:
                return status
            await anyio.sleep(POLL_INTERVAL)

    async def _status(self, run_id: str, until: float) -> RunView:
        """Return the run, retrying while the gateway is unavailable."""
        while True:
            try:
                return await self.call(lambda gateway: gateway.run(run_id))
            except UnavailableToolError:
                if time.monotonic() >= until:
                    raise
                await anyio.sleep(POLL_INTERVAL)


def task_of(
    objective: str,
    agent: str | None,
    constraints: list[str] | None,
    dry_run: bool,
    max_cost_usd: float | None,
    session: str | None,
) -> Task:
    """Return the task of a tool call. Raises ToolError."""
    fields: dict[str, Any] = {"objective": objective, "agent": agent, "dry_run": dry_run}
    fields |= {"shape": Shape.SINGLE if agent else Shape.AUTO, "constraints": constraints or []}
    fields |= {} if max_cost_usd is None else {"budget": {"cost_usd": max_cost_usd}}
    fields |= {"session": session} if session else {}
    try:
        return Task.model_validate(fields)
    except ValidationError as invalid:
        raise ToolError(_problem(invalid)) from None


def has_ended(status: RunView) -> bool:
    """Return true once the result of the run is final."""
    return status.state in ENDED and not status.settling


def call_result(result: Result) -> CallToolResult:
    """Return a run's result as that of a tool call; an error unless the run is complete."""
    content = TextContent(type="text", text=result.model_dump_json(exclude_none=True))
    return CallToolResult(
        content=[content], structured_content=result.model_dump(mode="json"), is_error=result.status != "complete"
    )


def _ended_or_waiting(status: RunView) -> bool:
    return has_ended(status) or status.state is State.WAITING_HUMAN


def _key_of_call(ctx: Context[Any]) -> str | None:
    """Return the key with which a client marks repeats of one call, as Waggle's own agents do."""
    key = (ctx.request_context.meta or {}).get(IDEMPOTENCY_KEY)
    return key if isinstance(key, str) and 0 < len(key) <= LONGEST_KEY else None


def _problem(invalid: ValidationError) -> str:
    """Return the first problem, with the field's name."""
    error = invalid.errors()[0]
    return f"{'.'.join(map(str, error['loc']))}: {error['msg']}"


def summary(status: RunView) -> str:
    """Return the state, the steps done, and the agents at work, on one line."""
    done = sum(step.status == "done" for step in status.steps)
    working = ", ".join(step.agent for step in status.steps if step.status == "running")
    steps = f", {done} of {len(status.steps)} steps done" if status.steps else ""
    asked = f": {status.waiting_for.question[:200]}" if status.waiting_for else ""
    return f"{status.state}{steps}{f', {working} working' if working else ''}{asked}"
