"""Files go into the archive and come out of it."""

import re
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from pydantic import ValidationError

from schemas.task import Attachment
from services.gateway.failures import Refused, documented, explain
from services.gateway.inputs import PartsOf, Tenant

router = APIRouter(tags=["files"])

_SHA256 = re.compile(r"[0-9a-f]{64}")
_RAW = {"requestBody": {"required": True, "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}}}
_STORED: dict[int | str, dict[str, Any]] = {200: {"description": "The file's bytes", "content": {"*/*": {}}}}
_SAFE = {"Content-Disposition": "attachment", "X-Content-Type-Options": "nosniff"}
"""Nothing that was uploaded runs in a browser as if it were the gateway's own."""


def described(
    name: Annotated[str, Query(description="File name, without a folder.")],
    content_type: Annotated[str, Header(description="Kept with the file.")] = "application/octet-stream",
) -> Attachment:
    """What is said about a file, before its content is read."""
    try:
        return Attachment(name=name, media_type=content_type, text="")
    except ValidationError as wrong:
        raise Refused(422, "invalid_request", explain(wrong.errors(include_url=False))) from None


@router.post("/v1/files", status_code=201, summary="Upload a file", responses=documented(413), openapi_extra=_RAW)
async def upload_file(
    about: Annotated[Attachment, Depends(described)], request: Request, tenant: Tenant, parts: PartsOf
) -> Attachment:
    """The body is the file. The answer is ready to be put into a task's `context.attachments`."""
    content = await request.body()
    uri = await parts.archive.put(tenant, content, about.media_type)
    return Attachment(name=about.name, media_type=about.media_type, uri=uri, size=len(content))


@router.get(
    "/v1/files/{sha256}", summary="Download a file", responses=documented(404) | _STORED, response_class=Response
)
async def download_file(sha256: str, tenant: Tenant, parts: PartsOf) -> Response:
    """A file that was uploaded or that an agent made: what stands after `blob:` in its `uri`."""
    blob = await parts.archive.get(tenant, sha256) if _SHA256.fullmatch(sha256) else None
    if blob is None:
        raise Refused(404, "unknown_file", f"this tenant has no file {sha256}")
    return Response(blob.content, headers=_SAFE | {"Content-Type": blob.media_type})
