"""Contents of a run, each behind a link of its own: turns with prompts, the record, files; and who looked at them."""

from contextlib import AsyncExitStack
from typing import Annotated, TypeAlias
from urllib.parse import quote

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from schemas.api.contents import AuditPage, RecordView
from schemas.api.trace import Turn, TurnPage
from schemas.message import Id
from services.console.artefacts import (
    LARGEST_IMAGE,
    LARGEST_SHOWN,
    download_headers,
    image_type,
    read_file,
    shown_file,
)
from services.console.gateway import Gateway, run_path
from services.console.pages import page
from services.console.routes.run import RunId, unknown_page
from services.console.streamed import Streamed, pieces_of
from services.console.visitor import Visitor, VisitorDep

router = APIRouter()

TURNS = 50
"""Turns on a page of the list."""

MESSAGES = 40
"""Messages of a prompt that are shown, the newest ones."""

ACCESSES = 100
"""Accesses on a page of the audit."""

StepId: TypeAlias = Annotated[Id, Path()]
Position: TypeAlias = Annotated[str, Query(pattern=r"^(\d{1,20}-\d{1,20})?$")]
Sha256: TypeAlias = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")]


@router.get("/runs/{run_id}/steps/{step_id}/turns")
async def list_turns(
    visitor: VisitorDep,
    run_id: RunId,
    step_id: StepId,
    handoff: str = "",
    skip: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> Response:
    """The turns of a step, without contents."""
    params = {"limit": str(TURNS), "skip": str(skip)} | ({"handoff_id": handoff} if handoff else {})
    turns = await visitor.gateway.ask(TurnPage, "GET", run_path(run_id, "steps", step_id, "turns"), params)
    run = await visitor.gateway.run(run_id)
    return page(visitor, "turns.html", run=run, step_id=step_id, turns=turns, handoff=handoff, skip=skip)


@router.get("/runs/{run_id}/steps/{step_id}/turns/{turn}")
async def show_turn(
    visitor: VisitorDep,
    run_id: RunId,
    step_id: StepId,
    turn: Annotated[int, Path(ge=1, le=1_000_000)],
    thought: Annotated[int, Query(ge=1, le=10_000)] = 1,
    handoff: str = "",
    said: bool = False,
) -> Response:
    """The exact prompt or the conversation, the reply, and each call. The gateway records the access."""
    params = {"last": str(MESSAGES), "thought": str(thought)} | ({"handoff_id": handoff} if handoff else {})
    params |= {"said": "true"} if said else {}
    found = await visitor.gateway.ask(Turn, "GET", run_path(run_id, "steps", step_id, "turns", str(turn)), params)
    return page(visitor, "turn.html", run_id=run_id, turn=found)


@router.get("/runs/{run_id}/record")
async def show_record(visitor: VisitorDep, run_id: RunId, contents: bool = False) -> Response:
    """The entries of a run on the blackboard with author and version; their contents if that is asked for."""
    address = run_path(run_id, "record", *(["contents"] if contents else []))
    record = await visitor.gateway.ask(RecordView, "GET", address)
    return page(visitor, "record.html", run_id=run_id, record=record, contents=contents)


@router.get("/runs/{run_id}/files/{sha256}")
async def show_file(visitor: VisitorDep, run_id: RunId, sha256: Sha256) -> Response:
    """A file that the run has made, in the form in which it can be shown safely."""
    media_type, content, cut = await read_file(visitor.gateway, sha256, LARGEST_SHOWN)
    shown = shown_file(media_type, content, cut=cut)
    name = await _name(visitor.gateway, run_id, sha256)
    return page(visitor, "file.html", run_id=run_id, sha256=sha256, name=name, media_type=media_type, shown=shown)


@router.get("/runs/{run_id}/files/{sha256}/image")
async def show_image(visitor: VisitorDep, run_id: RunId, sha256: Sha256) -> Response:
    """An image, with the type that its first bytes say; anything else is no page here."""
    _, content, cut = await read_file(visitor.gateway, sha256, LARGEST_IMAGE)
    kind = image_type(content)
    if kind is None or cut:
        return unknown_page(visitor)
    return visitor.keep(Response(content, media_type=kind))


@router.get("/runs/{run_id}/files/{sha256}/download")
async def download(visitor: VisitorDep, run_id: RunId, sha256: Sha256) -> Response:
    """A file of any type as a download."""
    name = await _name(visitor.gateway, run_id, sha256)
    async with AsyncExitStack() as opened:
        answer = await opened.enter_async_context(visitor.gateway.opened(f"/v1/files/{quote(sha256, safe='')}"))
        length = {"Content-Length": size} if (size := answer.headers.get("content-length")) else {}
        return visitor.keep(Streamed(pieces_of(answer), opened.pop_all(), download_headers(name) | length))


async def _name(gateway: Gateway, run_id: str, sha256: str) -> str:
    """Return the name of a file among those of the run's result; its digest for any other."""
    result = await gateway.result(run_id)
    names = (each.name for each in (result.artefacts if result else []) if each.uri.endswith(sha256))
    return next(names, sha256)


@router.get("/audit")
async def show_audit(visitor: VisitorDep, before: Position = "") -> Response:
    """Accesses to contents of the tenant, the newest first."""
    return await _audit_page(visitor, before)


async def _audit_page(visitor: Visitor, before: str) -> Response:
    params = {"limit": str(ACCESSES)} | ({"before": before} if before else {})
    audit = await visitor.gateway.ask(AuditPage, "GET", "/v1/audit", params)
    return page(visitor, "audit.html", audit=audit, before=before)
