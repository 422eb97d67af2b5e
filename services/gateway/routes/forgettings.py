"""Routes that forget all about a subject, a run, a session or a tenant, and show how far that is."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from schemas.api.memories import ForgetReach, ForgetRequest, ForgettingPage
from schemas.forgetting import Forgetting, begun
from services.gateway.dependencies import CallerDep, PartsDep, Tenant
from services.gateway.errors import Refused, error_responses
from services.gateway.forgetting import give, in_effect, reach
from services.gateway.rate_limit import limit
from services.gateway.routes.memories import StoreDep
from shared.archive.forgettings import Forgettings

router = APIRouter(tags=["memories"])

ForgettingId = Annotated[str, Path(pattern=r"^[!-~]{1,255}$", description="`forgetting` of the answer to the order.")]


def ledger_of(request: Request) -> Forgettings:
    """Return the reports of forgettings."""
    ledger: Forgettings = request.app.state.forgettings
    return ledger


LedgerDep = Annotated[Forgettings, Depends(ledger_of)]

ORDERS_PER_MINUTE = 60
"""Orders of a tenant to forget a selection, dry runs included: each counts runs and files."""


@router.post("/v1/memories/forget", summary="Forget a selection", responses=error_responses(409, 413, 429))
async def forget_selection(
    order: ForgetRequest, tenant: Tenant, parts: PartsDep, store: StoreDep, caller: CallerDep, response: Response
) -> ForgetReach:
    """Forget a subject, a run, a session or everything of the tenant, as it is now. It cannot be undone.

    With `dry_run`: only count what that reaches. Otherwise the order stands: older memories that arrive later are
    refused, too.
    """
    message = f"tenant `{tenant}` may order {ORDERS_PER_MINUTE} forgettings per minute"
    await limit(parts, f"forgettings/{tenant}", tenant, ORDERS_PER_MINUTE, message)
    found = await reach(parts, store, tenant, order)
    if order.dry_run:
        return found
    if found.memories > (order.expected or 0):
        message = (
            f"{found.memories} memories match, which is more than the {order.expected} expected; none is forgotten"
        )
        action = "look at a `dry_run` once more and confirm its number"
        raise Refused(409, "more_than_expected", message, action=action)
    given = await give(parts, tenant, order, caller.acting_name(order.by))
    response.status_code = 202
    gone = await in_effect(store, order, given)
    return found.model_copy(update={"ordered": given.at, "in_effect": gone, "forgetting": begun(given).id})


@router.get("/v1/forgettings", summary="List forgettings", responses=error_responses())
async def list_forgettings(
    tenant: Tenant, ledger: LedgerDep, limit: Annotated[int, Query(ge=1, le=200)] = 50
) -> ForgettingPage:
    """Orders to forget, the latest first, with what each store has lost and what remains until when."""
    return ForgettingPage(forgettings=await ledger.list(tenant, limit))


@router.get("/v1/forgettings/{id:path}", summary="Show a forgetting", responses=error_responses(404))
async def show_forgetting(id: ForgettingId, tenant: Tenant, ledger: LedgerDep) -> Forgetting:
    """An order to forget with its report. It is there once the service `memory` has read the order."""
    found = await ledger.get(tenant, id)
    if found is None:
        message = f"this tenant has no forgetting {id}, or the service `memory` has not read the order yet"
        action = "GET /v1/forgettings lists them; repeat the request in a moment"
        raise Refused(404, "unknown_forgetting", message, retryable=True, action=action)
    return found
