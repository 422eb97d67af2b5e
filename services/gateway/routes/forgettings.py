"""Routes that forget all about a subject, a run, a session or a tenant, and show how far that is."""

from fastapi import APIRouter, Response

from schemas.api.memories import ForgetReach, ForgetRequest
from services.gateway.dependencies import CallerDep, PartsDep, Tenant
from services.gateway.errors import Refused, error_responses
from services.gateway.forgetting import give, in_effect, reach
from services.gateway.rate_limit import limit
from services.gateway.routes.memories import StoreDep

router = APIRouter(tags=["memories"])

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
    return found.model_copy(update={"ordered": given.at, "in_effect": await in_effect(store, order, given)})
