"""Forms with files: read within bounds, spooled to disk, and passed on to the gateway's archive in pieces."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi import Request
from python_multipart.exceptions import MultipartParseError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from schemas.message import UNKNOWN_MEDIA, media_type_or_unknown
from schemas.task import Attachment
from services.console.forms import MOST_FIELDS, TOKEN, refused_form
from services.console.gateway import Gateway
from services.console.sessions import is_form_token

LARGEST = 128 * 1_048_576
"""Bytes of a form with its files: 128 MiB. The gateway bounds each file."""

MOST_FILES = 20
LARGEST_FIELD = 1_048_576
"""Bytes of one text field: 1 MiB; the longest are the background, and the stored files with the texts of small ones."""

STALLED, LONGEST = 20.0, 300.0
"""Seconds without a byte, and for the whole form."""

AT_ONCE = 4
"""Forms with files that are read at the same time: each takes up to LARGEST on disk."""

_PIECE = 1_048_576
_slots = asyncio.Semaphore(AT_ONCE)


@dataclass(frozen=True, slots=True)
class Form:
    """A form that belongs to the visitor."""

    fields: Mapping[str, str]
    files: list[UploadFile]


@asynccontextmanager
async def upload_form(request: Request, secret: str) -> AsyncIterator[Form]:
    """Read a form with files; they are deleted afterwards. Raises FormRefused if it is not this visitor's."""
    if _slots.locked():
        raise refused_form(503, "too_many_uploads", "too many forms with files are being sent; send it again soon")
    async with _slots:
        parser = MultiPartParser(
            request.headers,
            _bounded(request),
            max_files=MOST_FILES,
            max_fields=MOST_FIELDS,
            max_part_size=LARGEST_FIELD,
        )
        try:
            found = await parser.parse()
        except (MultiPartException, MultipartParseError, KeyError, UnicodeDecodeError) as wrong:
            reason = wrong.message if isinstance(wrong, MultiPartException) else "it is no form with files"
            raise refused_form(400, "invalid_form", f"the form cannot be read: {reason}") from None
        try:
            pairs = found.multi_items()
            fields = {name: each for name, each in pairs if isinstance(each, str)}
            if not is_form_token(secret, fields.get(TOKEN, "")):
                raise refused_form(403, "wrong_form_token", "this form belongs to another session, or to none")
            trimmed = {name: value.strip().replace("\r\n", "\n") for name, value in fields.items()}
            yield Form(trimmed, [each for _, each in pairs if isinstance(each, UploadFile) and each.filename])
        finally:
            await found.close()


async def _bounded(request: Request) -> AsyncGenerator[bytes, None]:
    received, stream = 0, request.stream()
    try:
        async with asyncio.timeout(LONGEST):
            while True:
                async with asyncio.timeout(STALLED):
                    chunk = await anext(stream, None)
                if chunk is None:
                    return
                received += len(chunk)
                if received > LARGEST:
                    raise refused_form(413, "too_large", f"the form and its files have more than {LARGEST:,} bytes")
                yield chunk
    except TimeoutError:
        raise refused_form(408, "too_slow", "the form did not arrive in time") from None


async def store(gateway: Gateway, file: UploadFile) -> Attachment:
    """Store a file in the archive. Raises GatewayFailure."""
    name = (file.filename or "").replace("\\", "/").rpartition("/")[2]
    media_type = media_type_or_unknown(file.content_type or UNKNOWN_MEDIA)
    return await gateway.upload(name, media_type, _pieces(file))


async def _pieces(file: UploadFile) -> AsyncIterator[bytes]:
    while piece := await file.read(_PIECE):
        yield piece
