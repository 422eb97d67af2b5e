"""What the routes work with: the parts of the service, behind a few verbs."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import uuid4

from fastapi import Depends, Query, Request
from opentelemetry import context, propagate

from schemas.approval import Command
from schemas.message import Message, Slug
from schemas.task import Task
from services.gateway.errors import Refusal, not_found
from services.gateway.views import Accepted, Links
from shared.blackboard import keys
from shared.bus import encode, publish
from shared.runs import ENDS, Run, run_id_for
from shared.service import Parts

SUBMITTED_TTL = 3_600
"""Seconds a submitted task is known before the orchestrator has taken it in."""


@dataclass(frozen=True, slots=True)
class Doors:
    """The outside systems, as the routes see them."""

    parts: Parts

    async def submit(self, task: Task, headers: Any) -> Accepted:
        """Publish a task event and return when Kafka has it."""
        task_id = f"task-{uuid4().hex}"
        run_id = run_id_for(task.tenant, task.idempotency_key or task_id)
        token = context.attach(propagate.extract(headers))
        try:
            await self._publish(task, task_id, run_id)
        finally:
            context.detach(token)
        await self.parts.redis.set(keys.submitted(task.tenant, run_id), task_id, ex=SUBMITTED_TTL)
        query = f"?tenant={task.tenant}"
        path = f"/v1/runs/{run_id}"
        links = Links(self=path + query, events=f"{path}/events{query}", result=f"{path}/result{query}")
        return Accepted(run_id=run_id, task_id=task_id, tenant=task.tenant, links=links)

    async def command(self, message: Command) -> None:
        """Publish a command for a run that has not ended."""
        run = await self.run(message.tenant, message.run_id)
        if run.state in ENDS:
            raise Refusal(409, "ended", f"the run is {run.state} already")
        await self._publish(message, f"cmd-{uuid4().hex}", message.run_id)

    async def run(self, tenant: str, run_id: str) -> Run:
        """The run. Refused with 404 when the tenant has none of that id."""
        run, _ = await self.parts.runs.load(tenant, run_id)
        if run is None:
            raise not_found(f"run {run_id}")
        return run

    async def is_submitted(self, tenant: str, run_id: str) -> bool:
        """Whether a task for this run is on its way."""
        return bool(await self.parts.redis.exists(keys.submitted(tenant, run_id)))

    async def _publish(self, message: Message, id: str, run_id: str) -> None:
        record = encode(
            message,
            id=id,
            source="waggle/gateway",
            prefix=self.parts.settings.topic_prefix,
            now=datetime.now(UTC),
            key=run_id,
        )
        await publish(self.parts.broker, [record])


def doors(request: Request) -> Doors:
    """The doors of the running service."""
    opened: Doors = request.app.state.doors
    return opened


Opened = Annotated[Doors, Depends(doors)]
Tenant = Annotated[Slug, Query(description="Whose runs and files.")]
