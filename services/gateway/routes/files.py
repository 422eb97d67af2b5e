"""Routes that store files in the archive and return them."""

import asyncio
import re
from typing import Annotated, Any, BinaryIO

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import ValidationError

from schemas.message import UNKNOWN_MEDIA, MediaType, media_type_or_unknown
from schemas.task import Attachment
from services.gateway.audit import record_access
from services.gateway.dependencies import CallerDep, PartsDep, Tenant
from services.gateway.errors import Refused, error_responses, explain
from services.gateway.uploads import UploadSlots, spool, spooled

router = APIRouter(tags=["files"])

_SHA256 = re.compile(r"[0-9a-f]{64}")
_RAW = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
_STORED: dict[int | str, dict[str, Any]] = {200: {"description": "The file's bytes", "content": {"*/*": {}}}}
_SAFE = {
    "Content-Disposition": "attachment",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}
"""Headers that keep an uploaded file from running in a browser as a page of the gateway."""
_PART = 4 * 1_048_576
"""Bytes per read from the archive: 4 MiB."""


def described(
    name: Annotated[str, Query(description="File name without a folder.")],
    content_type: Annotated[MediaType, Header(description="Media type, stored with the file.")] = UNKNOWN_MEDIA,
) -> Attachment:
    """Return the description of the file, before its content is read."""
    try:
        return Attachment(name=name, media_type=content_type, text="")
    except ValidationError as wrong:
        problems = explain(wrong.errors(include_url=False))
        raise Refused(422, "invalid_request", problems, action="correct the name or the Content-Type") from None


def upload_slots_of(request: Request) -> UploadSlots:
    """Return the slots for uploads."""
    slots: UploadSlots = request.app.state.upload_slots
    return slots


@router.post("/v1/files", status_code=201, summary="Upload a file", responses=error_responses(413), openapi_extra=_RAW)
async def upload_file(
    about: Annotated[Attachment, Depends(described)],
    request: Request,
    tenant: Tenant,
    parts: PartsDep,
    caller: CallerDep,
    slots: Annotated[UploadSlots, Depends(upload_slots_of)],
) -> Attachment:
    """The body is the file. Put the answer into a task's `context.attachments`."""
    with slots.slot(caller.name), spool() as file:
        size = await spooled(request.stream(), file)
        async with slots.storing:
            content = await asyncio.to_thread(_whole, file)
            uri = await parts.archive.put(tenant, content, about.media_type)
    return Attachment(name=about.name, media_type=about.media_type, uri=uri, size=size)


def _whole(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read()


@router.get(
    "/v1/files/{sha256}", summary="Download a file", responses=error_responses(404) | _STORED, response_class=Response
)
async def download_file(sha256: str, tenant: Tenant, parts: PartsDep, caller: CallerDep) -> Response:
    """A file that was uploaded or made by an agent; `sha256` follows `blob:` in its `uri`. Recorded in the audit."""
    known = await parts.archive.known(tenant, sha256) if _SHA256.fullmatch(sha256) else None
    if known is None:
        action = "use the digest after `blob:` in the file's `uri`, and its tenant"
        raise Refused(404, "unknown_file", f"this tenant has no file {sha256}", action=action)
    media_type, size = known
    await record_access(parts, caller, tenant, "file", "", sha256)
    parted = (await parts.archive.part(tenant, sha256, at, _PART) for at in range(0, size, _PART))
    headers = _SAFE | {"Content-Type": media_type_or_unknown(media_type), "Content-Length": str(size)}
    return StreamingResponse(parted, headers=headers)
