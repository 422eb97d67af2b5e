"""Submitting the task of a run once more, as a new run, changed or as it was."""

import secrets

from fastapi import APIRouter
from starlette.responses import Response

from schemas.task import Task
from services.console.gateway import Gateway, run_path
from services.console.routes.run import RunId
from services.console.routes.submit import form_page, send_form
from services.console.submission import Draft, fields_of
from services.console.visitor import VisitorDep

router = APIRouter()


@router.get("/runs/{run_id}/resubmit")
async def confirm_resubmission(visitor: VisitorDep, run_id: RunId) -> Response:
    """The form filled with the task. The gateway records that it was shown."""
    task = await _task(visitor.gateway, run_id)
    fields = fields_of(task) | {"nonce": secrets.token_hex(8)}
    return await form_page(visitor, Draft(fields, task.context.attachments, origin=task), again=run_id)


@router.post("/runs/{run_id}/resubmit")
async def resubmit(visitor: VisitorDep, run_id: RunId) -> Response:
    """Submit the task with its changes; a form that is sent twice starts one run."""
    return await send_form(visitor, await _task(visitor.gateway, run_id), run_id)


async def _task(gateway: Gateway, run_id: str) -> Task:
    return await gateway.ask(Task, "GET", run_path(run_id, "task"))
