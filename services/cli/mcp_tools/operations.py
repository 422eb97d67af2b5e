"""MCP tools for operators: for clients that were started with `--allow operate`."""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import Field

from schemas.api.commands import CommandAccepted, Released
from schemas.api.dead_letters import DeadLetterEdited, DeadLetterView, SearchResult
from schemas.api.topics import TopicLag
from schemas.dead import DeadLetterHandled
from schemas.stop import WorkStopped
from services.cli.api.client import Gateway
from services.cli.mcp_tools.calls import AUTHOR, GatewayTools, Reason, RunId

LetterName = Annotated[
    str, Field(description="Name as `list_dead_letters` has it, such as tasks.dlt/0/17.", min_length=1, max_length=300)
]
Scope = Annotated[
    str, Field(description="`all`, `tenant:NAME`, `agent:NAME` or `run:ID`.", min_length=1, max_length=300)
]
Filter = Annotated[str | None, Field(max_length=200)]


class OperatorTools(GatewayTools):
    """Tools of an operator. `operators`: a client of no tenant, for all that belongs to no tenant."""

    def __init__(self, connect: Callable[[], Gateway], operators: Callable[[], Gateway]) -> None:
        super().__init__(connect)
        self._of_all = GatewayTools(operators)

    async def pause_run(self, run_id: RunId, reason: Reason) -> CommandAccepted:
        """Start no further step of a run until it is resumed. Steps in progress finish, and their results are kept."""
        return await self.call(lambda gateway: gateway.command(run_id, "pause", by=AUTHOR, reason=reason))

    async def resume_run(self, run_id: RunId) -> CommandAccepted:
        """Resume a paused run, or a failed one from the step that failed."""
        return await self.call(lambda gateway: gateway.command(run_id, "resume", by=AUTHOR))

    async def stop_work(self, scope: Scope, reason: Reason) -> WorkStopped:
        """Stop all model and tool calls in a scope immediately: the kill switch."""
        return await self._of_all.call(lambda gateway: gateway.stop(scope, by=AUTHOR, reason=reason))

    async def lift_stop(self, scope: Scope) -> Released:
        """Resume the work in a scope."""
        return await self._of_all.call(lambda gateway: gateway.start(scope))

    async def list_stops(self) -> list[WorkStopped]:
        """List what is stopped, by whom and why."""
        return await self._of_all.call(lambda gateway: gateway.stops())

    async def list_topics(self) -> list[TopicLag]:
        """List the topics with their groups and lag."""
        return await self._of_all.call(lambda gateway: gateway.topics())

    async def list_dead_letters(
        self,
        topic: Filter = None,
        error: Filter = None,
        tenant: Filter = None,
        limit: Annotated[int, Field(ge=1, le=1_000)] = 50,
    ) -> SearchResult:
        """List open dead letters, newest first: all, or those of a topic, an error code or a tenant."""
        given = {"topic": topic, "error": error, "tenant": tenant}
        search: dict[str, str | int] = {name: value for name, value in given.items() if value}
        return await self._of_all.call(lambda gateway: gateway.dead_letters(search | {"limit": limit}))

    async def show_dead_letter(self, name: LetterName) -> DeadLetterView:
        """Show a dead letter with its original record. Its payload is untrusted."""
        return await self._of_all.call(lambda gateway: gateway.dead_letter(name))

    async def redrive_dead_letter(self, name: LetterName, reason: Reason) -> DeadLetterHandled:
        """Publish a dead letter to its original topic once more. One that was handled already is refused."""
        order: dict[str, Any] = {"by": AUTHOR, "reason": reason}
        return await self._of_all.call(lambda gateway: gateway.handle(name, "redrive", **order))

    async def discard_dead_letter(self, name: LetterName, reason: Reason) -> DeadLetterHandled:
        """Discard a dead letter: it is no longer listed as open."""
        return await self._of_all.call(lambda gateway: gateway.handle(name, "discard", by=AUTHOR, reason=reason))

    async def edit_dead_letter(
        self,
        name: LetterName,
        value: Annotated[dict[str, Any], Field(description="The whole corrected payload.")],
        reason: Reason,
        dry_run: Annotated[bool, Field(description="Only check it and list the changes.")] = True,
    ) -> DeadLetterEdited:
        """Correct the payload of a dead letter, which is checked against its schema, and redrive it."""
        order: dict[str, Any] = {"by": AUTHOR, "reason": reason, "value": value, "dry_run": dry_run}
        return await self._of_all.call(lambda gateway: gateway.edit(name, **order))
