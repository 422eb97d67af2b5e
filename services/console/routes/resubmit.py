"""Submitting the task of a run once more, as a new run."""

import secrets
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from schemas.error import ErrorInfo
from schemas.task import Task
from services.console.gateway import Gateway, GatewayFailure, run_path
from services.console.pages import page, path, see_other
from services.console.routes.run import RunId
from services.console.visitor import Visitor, VisitorDep

router = APIRouter()

_ONCE = 40
"""Longest part of an idempotency key that a form carries."""


@router.get("/runs/{run_id}/resubmit")
async def confirm_resubmission(visitor: VisitorDep, run_id: RunId) -> Response:
    """The task as it would be sent. The gateway records that it was shown."""
    return _page(visitor, run_id, await _task(visitor.gateway, run_id))


@router.post("/runs/{run_id}/resubmit")
async def resubmit(visitor: VisitorDep, run_id: RunId) -> Response:
    """Submit the task; a form that is sent twice starts one run."""
    form = await visitor.form()
    task = await _task(visitor.gateway, run_id)
    try:
        accepted = await visitor.gateway.submit(task, f"again-{form.get('once', '')[:_ONCE]}")
    except GatewayFailure as failure:
        return _page(visitor, run_id, task, failure.status, failure.error)
    return see_other(visitor, path("runs", accepted.run_id, tenant=visitor.tenant, notice="submitted"))


async def _task(gateway: Gateway, run_id: str) -> dict[str, Any]:
    """Return the task without what belongs to its first submission alone."""
    task = await gateway.ask(Task, "GET", run_path(run_id, "task"))
    return task.model_dump(mode="json", exclude={"idempotency_key", "deadline"}, exclude_defaults=True)


def _page(
    visitor: Visitor, run_id: str, task: dict[str, Any], status: int = 200, failure: ErrorInfo | None = None
) -> Response:
    once = secrets.token_urlsafe(16)
    return page(visitor, "resubmit.html", status, run_id=run_id, task=task, once=once, failure=failure)
