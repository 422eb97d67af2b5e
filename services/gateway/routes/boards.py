"""Routes of boards and claims: what agents of a run share, and what runs hold outside."""

from typing import Annotated

from fastapi import APIRouter, Query

from schemas.api.boards import BoardView, ClaimsView, ReleaseRequest
from schemas.api.commands import CommandAccepted
from schemas.approval import ReleaseClaim
from schemas.board import BoardKey, BoardKind, Claim
from services.gateway.contents import shown_claims, shown_entries
from services.gateway.dependencies import CallerDep, PartsDep, SnapshotDep, Tenant, snapshot_of
from services.gateway.errors import Refused, error_responses
from services.gateway.routes.commands import send_to_live
from shared.access.principals import Role
from shared.blackboard import BoardStore, ClaimStore

router = APIRouter(prefix="/v1/claims", tags=["boards"])
of_run = APIRouter(prefix="/v1/runs/{run_id}", tags=["boards"], responses=error_responses(404, 422))

OfKey = Annotated[BoardKey | None, Query(description="Only the entry of this name; of each kind, without `kind`.")]


@of_run.get("/board", summary="Show the board of a run")
async def show_board(
    snapshot: SnapshotDep,
    parts: PartsDep,
    caller: CallerDep,
    kind: Annotated[BoardKind | None, Query(description="Only entries of this kind.")] = None,
    key: Annotated[
        BoardKey | None, Query(description="Only the entry of this name; of each kind, without `kind`.")
    ] = None,
    history: Annotated[bool, Query(description="All versions, of the one entry of `kind` and `key`.")] = False,
) -> BoardView:
    """Findings, artefacts and questions that the run's agents share, oldest first, and its claims.

    Contents, reasons and origins are shown to the role `contents` alone. They are text of models and strangers.
    """
    if history and (kind is None or key is None):
        raise Refused(422, "invalid_request", "`history` needs `kind` and `key`", action="name one entry")
    boards, claims = BoardStore(parts.sentinel, parts.settings.state_ttl), ClaimStore(parts.sentinel)
    entries = await boards.read(snapshot.tenant, snapshot.id, kind or "", key or "", history=history)
    held = [each for each in await claims.held(snapshot.tenant) if each.run_id == snapshot.id]
    withheld = not caller.may(Role.CONTENTS)
    return BoardView(entries=shown_entries(entries, caller), claims=shown_claims(held, caller), withheld=withheld)


@router.get("", summary="List claims", responses=error_responses())
async def list_claims(tenant: Tenant, parts: PartsDep, caller: CallerDep) -> ClaimsView:
    """Resources that runs of the tenant hold now, by name. Reasons are shown to the role `contents` alone."""
    return ClaimsView(claims=shown_claims(await ClaimStore(parts.sentinel).held(tenant), caller))


@router.post("/release", status_code=202, summary="Release a claim", responses=error_responses(404, 409, 413))
async def release_claim(order: ReleaseRequest, tenant: Tenant, parts: PartsDep, caller: CallerDep) -> CommandAccepted:
    """End a claim, so that other runs may have the resource. Its run records who ended it and why.

    The agent that holds it is not stopped: pause or cancel its run if it must not act any more.
    """
    held = await ClaimStore(parts.sentinel).held(tenant, order.resource)
    if not held:
        action = "GET /v1/claims lists those that are held"
        raise Refused(404, "unknown_claim", f"no run holds {order.resource!r}", action=action)
    claim = _same(held[0], order)
    snapshot = await snapshot_of(claim.run_id, tenant, parts)
    about = {"resource": claim.resource, "number": claim.number, "reason": order.reason}
    return await send_to_live(parts, snapshot, ReleaseClaim, about, order, caller)


def _same(claim: Claim, order: ReleaseRequest) -> Claim:
    """Return the claim. Raises Refused 409 for another one than that of the order."""
    if order.number in (None, claim.number):
        return claim
    message = f"{claim.resource!r} is held by a later claim, number {claim.number}"
    raise Refused(409, "not_awaited", message, action="GET /v1/claims, look at its holder, and decide again")
