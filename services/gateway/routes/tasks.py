"""The route that accepts tasks."""

import asyncio
from typing import Annotated
from uuid import uuid4

import structlog
from fastapi import APIRouter, Header

from schemas.api.tasks import TaskAccepted
from schemas.message import Id
from schemas.task import Task
from services.gateway.access import Caller
from services.gateway.dependencies import DEFAULT_TENANT, CallerDep, GivenTenant, PartsDep, PendingTask
from services.gateway.errors import Refused, error_responses
from services.gateway.publishing import SOURCE, deliver
from services.gateway.rate_limit import admit
from services.gateway.views import links_to
from shared import blackboard
from shared.blackboard import keys
from shared.runs import run_id_for
from shared.service import Parts

PENDING_TTL = 3600
"""Seconds for which a pending task is remembered."""

PENDING_TIMEOUT = 2.0
"""Seconds for Redis to store it."""

MISSED: tuple[type[Exception], ...] = (*blackboard.OUTAGES, TimeoutError)

log = structlog.get_logger()
router = APIRouter(tags=["tasks"])

GivenKey = Annotated[
    Id | None, Header(alias="Idempotency-Key", description="Equal keys of one tenant name the same run.")
]


@router.post(
    "/v1/tasks",
    status_code=202,
    summary="Submit a task",
    responses=error_responses(413, 429),
    response_description="Accepted",
)
async def submit_task(
    task: Task, parts: PartsDep, caller: CallerDep, tenant: GivenTenant = None, key: GivenKey = None
) -> TaskAccepted:
    """Accept a task: Kafka has acknowledged it (`acks=all`). After a 503, send it again with the same key."""
    task = _requested_by(addressed(task, tenant, key), caller)
    await admit(parts, caller.act_for(task.tenant))
    task_id = f"task-{uuid4().hex}"
    run_id = run_id_for(task.tenant, task.idempotency_key, SOURCE, task_id)
    await deliver(parts, task, id=task_id, run_id=run_id)
    await _remember(parts, task.tenant, run_id, PendingTask.accepted(task_id, task))
    return TaskAccepted(run_id=run_id, task_id=task_id, tenant=task.tenant, links=links_to(run_id, task.tenant))


def _requested_by(task: Task, caller: Caller) -> Task:
    """Return the task with its author: the owner of the caller's key, or no one known."""
    known = caller.name if caller.principal is not None else None
    return task if known == task.requested_by else task.model_copy(update={"requested_by": known})


def addressed(task: Task, tenant: str | None, key: str | None) -> Task:
    """Return the task with the tenant and key of the request. Raises Refused 422 if body and request disagree."""
    own = task.tenant if "tenant" in task.model_fields_set else None
    return task.model_copy(
        update={
            "tenant": _agreed("tenant", own, tenant) or DEFAULT_TENANT,
            "idempotency_key": _agreed("idempotency_key", task.idempotency_key, key),
        }
    )


def _agreed(field: str, inside: str | None, outside: str | None) -> str | None:
    if inside is not None and outside is not None and inside != outside:
        message = f"body.{field}: is `{inside}` in the body and `{outside}` in the request's query or headers"
        raise Refused(422, "invalid_request", message, action=f"send `{field}` once")
    return inside if outside is None else outside


async def _remember(parts: Parts, tenant: str, run_id: str, pending: PendingTask) -> None:
    """Store the pending task, so that the run can be read before it starts. The task is accepted even if this fails."""
    try:
        async with asyncio.timeout(PENDING_TIMEOUT):
            await parts.redis.set(keys.submitted(tenant, run_id), pending.model_dump_json(), ex=PENDING_TTL, nx=True)
    except MISSED as outage:
        log.warning("pending_task_not_stored", run=run_id, error=repr(outage))
