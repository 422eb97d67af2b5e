"""Submitting a task."""

import secrets
from dataclasses import replace

from fastapi import APIRouter
from pydantic import ValidationError
from starlette.responses import Response

from schemas.api.tasks import TaskAccepted
from schemas.error import ErrorInfo
from schemas.plan import AgentCard
from schemas.task import Attachment, Shape, Task
from services.console.gateway import Gateway, GatewayFailure
from services.console.pages import page, path, see_other
from services.console.submission import Draft, attachments_in, problems_of
from services.console.uploads import Form, store, upload_form
from services.console.visitor import Visitor, VisitorDep

router = APIRouter()

_UNFIT = ErrorInfo(
    code="invalid_task",
    message="The task was not submitted.",
    suggested_action="Correct the marked fields; everything else was kept, files too.",
)


@router.get("/submit")
async def show_form(visitor: VisitorDep) -> Response:
    """The empty form."""
    return await form_page(visitor, Draft({"nonce": secrets.token_hex(8)}))


@router.post("/submit")
async def submit(visitor: VisitorDep) -> Response:
    """Store the files and submit the task. What is wrong is shown next to its field, with everything else kept."""
    return await send_form(visitor)


async def send_form(visitor: Visitor, origin: Task | None = None, again: str = "") -> Response:
    """Submit the task of the form that was sent. `again`: the run whose task, `origin`, was filled in."""
    async with upload_form(visitor.request, visitor.secret) as form:
        tenant = form.fields.get("tenant", "")
        gateway = Gateway(visitor.gateway.http, visitor.gateway.key, tenant or None)
        attachments, refused = await _stored(gateway, form)
    draft = Draft(form.fields, attachments, origin=origin)
    if refused is not None:
        return await form_page(visitor, replace(draft, problems={"files": refused.error.message}), refused, again)
    try:
        task = draft.task()
    except ValidationError as wrong:
        return await form_page(visitor, replace(draft, problems=problems_of(wrong)), None, again)
    body = task.model_dump(mode="json", exclude_unset=True)
    try:
        accepted = await gateway.ask(TaskAccepted, "POST", "/v1/tasks", body=body, key=draft.key(tenant))
    except GatewayFailure as failure:
        return await form_page(visitor, draft, failure, again)
    return see_other(visitor, path("runs", accepted.run_id, tenant=tenant, notice="submitted" if again else ""))


async def _stored(gateway: Gateway, form: Form) -> tuple[list[Attachment], GatewayFailure | None]:
    """Return the files kept from before, without those to remove, and the new ones; and why one was refused."""
    kept = attachments_in(form.fields.get("kept", ""))
    found = [each for number, each in enumerate(kept) if form.fields.get(f"remove-{number}") != "1"]
    for file in form.files:
        try:
            found.append(await store(gateway, file))
        except GatewayFailure as refused:
            return found, refused
    return found, None


async def form_page(visitor: Visitor, draft: Draft, failure: GatewayFailure | None = None, again: str = "") -> Response:
    """Return the form as far as it is filled in. `again`: the run whose task is submitted once more."""
    status = failure.status if failure else 422 if draft.problems else 200
    return page(
        visitor,
        "submit.html",
        status,
        draft=draft,
        again=again,
        failure=failure.error if failure else _UNFIT if draft.problems else None,
        agents=await _agents(visitor.gateway, keep=bool(draft["objective"])),
        shapes=list(Shape),
    )


async def _agents(gateway: Gateway, *, keep: bool) -> list[AgentCard]:
    """Return the agents to choose from; none for a visitor who may not list them. `keep`: nothing written is lost."""
    try:
        return [each for each in await gateway.ask_many(AgentCard, "/v1/agents") if each.plannable]
    except GatewayFailure as failure:
        if failure.status != 403 and not keep:
            raise
        return []
