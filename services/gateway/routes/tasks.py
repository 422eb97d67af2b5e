"""Submitting tasks, and the files that belong to them."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from schemas.message import Id
from schemas.task import Attachment, Task
from services.gateway.doors import Opened, Tenant
from services.gateway.errors import not_found, read_body
from services.gateway.views import Accepted
from shared.archive import SCHEME

router = APIRouter()
_TASK_BODY: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": Task.model_json_schema()}}}
}


@router.post("/v1/tasks", status_code=202, summary="Submit a task", openapi_extra=_TASK_BODY)
async def submit(
    request: Request,
    opened: Opened,
    idempotency_key: Annotated[Id | None, Header(description="The same key twice is the same run.")] = None,
) -> Accepted:
    """Publish a task event; answers when Kafka has it. The body is a Task."""
    body = await read_body(request, opened.parts.settings.max_message_bytes)
    try:
        task = Task.model_validate_json(body)
    except ValidationError as wrong:
        raise RequestValidationError(wrong.errors()) from None
    if idempotency_key is not None:
        task = task.model_copy(update={"idempotency_key": idempotency_key})
    return await opened.submit(task, request.headers)


@router.post("/v1/files", status_code=201, summary="Upload a file")
async def upload(
    request: Request,
    opened: Opened,
    name: Annotated[str, Query(description="File name, without a folder.")],
    tenant: Tenant = "default",
) -> Attachment:
    """Keep a file in the archive. The answer can be put into a task's `context.attachments` as it is."""
    content = await read_body(request, opened.parts.settings.max_attachment_bytes)
    media_type = request.headers.get("content-type", "application/octet-stream")
    try:
        attachment = Attachment(name=name, media_type=media_type, size=len(content), uri=SCHEME)
    except ValidationError as wrong:
        raise RequestValidationError(wrong.errors()) from None
    uri = await opened.parts.archive.put(tenant, content, media_type)
    return attachment.model_copy(update={"uri": uri})


@router.get("/v1/files/{sha256}", summary="Download a file", response_class=Response)
async def download(sha256: str, opened: Opened, tenant: Tenant = "default") -> Response:
    """The bytes of an attachment or an artefact."""
    blob = await opened.parts.archive.get(tenant, sha256)
    if blob is None:
        raise not_found(f"file {sha256}")
    headers = {"Content-Disposition": "attachment", "X-Content-Type-Options": "nosniff"}
    return Response(blob.content, media_type=blob.media_type, headers=headers)
