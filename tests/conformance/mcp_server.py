"""The server of `waggle mcp` on simulated runs, with the tools that the conformance suite calls by name.

Each of these tools is `run_task` with a certain objective, so that the suite tests the tasks that users get.
"""

import json
import sys
from typing import Any

from mcp.server.mcpserver import Context, require_client_extension
from mcp.types import CallToolResult, ElicitRequest, ElicitRequestFormParams, ElicitResult, InputRequiredResult

from services.cli.mcp_server import server
from services.cli.mcp_tools.allowed import Allowed
from services.cli.mcp_tools.runs import RunTools
from services.cli.mcp_tools.task_methods import TASKS
from tests.conformance.simulated_runs import SimulatedGateway


class Jobs(RunTools):
    """The suite's tools."""

    async def _job(self, ctx: Context[Any], **run: Any) -> CallToolResult:
        return await self.run_task(json.dumps(run), ctx)

    async def greet(self, name: str) -> str:
        """Greet."""
        return f"Hello, {name}!"

    async def slow_compute(self, ctx: Context[Any], seconds: float = 1, label: str = "") -> CallToolResult:
        """Take some seconds."""
        return await self._job(ctx, seconds=seconds, answer=f"{label} is done")

    async def failing_job(self, ctx: Context[Any]) -> CallToolResult:
        """Fail after a second. Serves only clients with tasks."""
        require_client_extension(ctx.request_context, TASKS)
        return await self._job(ctx, seconds=1, fails=True)

    async def confirm_delete(self, ctx: Context[Any], filename: str) -> CallToolResult:
        """Ask one question."""
        return await self._job(ctx, questions=["delete"], answer=f"{filename} is gone")

    async def multi_input(self, ctx: Context[Any]) -> CallToolResult:
        """Ask two questions at once."""
        return await self._job(ctx, questions=["first", "second"])

    async def test_tool_with_task(self, ctx: Context[Any]) -> CallToolResult | InputRequiredResult:
        """Ask before the task is made, then make it of the answer."""
        given = (ctx.input_responses or {}).get("user_name")
        if isinstance(given, ElicitResult) and given.content:
            return await self._job(ctx, seconds=0.5, answer=f"hello, {given.content['name']}")
        schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
        params = ElicitRequestFormParams(message="Your name?", requested_schema=schema)
        return InputRequiredResult(input_requests={"user_name": ElicitRequest(params=params)})


async def as_answers(ctx: Any, call_next: Any) -> Any:
    """Turn the suite's fixed content of every answer into an answer to a question of a run."""
    if ctx.method == "tasks/update":
        for given in (ctx.params or {}).get("inputResponses", {}).values():
            if (given.get("content") or {}).get("confirm"):
                given["content"] = {"answer": "approve"}
    return await call_next(ctx)


def main() -> None:
    """Serve on the port that is given."""
    gateway = SimulatedGateway()
    created = server(lambda: gateway, lambda: gateway, [Allowed.DECIDE])
    created.middleware.append(as_answers)
    jobs = Jobs(lambda: gateway)
    for tool in (jobs.greet, jobs.slow_compute, jobs.failing_job, jobs.confirm_delete, jobs.multi_input):
        created.add_tool(tool)
    created.add_tool(jobs.test_tool_with_task, structured_output=False)
    created.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))


if __name__ == "__main__":
    main()
