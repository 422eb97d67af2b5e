"""Budget of the extraction: each request reserves its largest cost in the tenant's ledgers, and settles its cost."""

import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from schemas.budget import Usage
from shared.access.tenants import day_budget
from shared.blackboard import OUTAGES
from shared.blackboard.ledger import Amounts, Ledger, ReservationStatus
from shared.errors import RetryableError
from shared.llm import Demand, Spending
from shared.memory.facts.settings import FactSettings, budget_of
from shared.service import Parts

EXHAUSTED = "facts_budget"
"""Code of a request that the day's budget has no room for."""

KEPT = 172_800.0
"""Seconds for which the ledger of a day is kept."""

_WAIT = 60.0
"""Seconds until the budget is looked at once more."""

LEASE = 300.0
"""Seconds after which a reservation of a process that ended counts as spent."""


@dataclass(slots=True)
class _Permit:
    max_output_tokens: int
    usage: Usage | None = None

    def settle(self, usage: Usage) -> None:
        """Set the actual usage of the answered request."""
        self.usage = usage


@dataclass(frozen=True, slots=True)
class FactBudget:
    """Budgets of all tenants: their own for facts, within that of their day."""

    parts: Parts
    own: FactSettings

    def spending(self, tenant: str, call: str) -> Spending:
        """Return the context manager that reserves and settles each request. Raises RetryableError `facts_budget`."""
        ledger = self._ledger(tenant)

        @asynccontextmanager
        async def spending(demand: Demand) -> AsyncIterator[_Permit]:
            attempt = f"{int(time.time() * 1_000)}.{secrets.token_hex(4)}"
            await _reserve(ledger, call, attempt, demand)
            permit = _Permit(demand.max_output_tokens)
            try:
                yield permit
            finally:
                if permit.usage is not None:
                    await ledger.settle(call, attempt, Amounts.of(permit.usage))
                else:
                    with suppress(*OUTAGES):
                        await ledger.forfeit(call, attempt)

        return spending

    def _ledger(self, tenant: str) -> Ledger:
        """Return the ledger of the tenant's day, in the place of a run's."""
        settings = self.parts.settings
        limits, day = budget_of(settings, self.own, tenant), day_budget(settings, tenant)
        name = f"facts-{datetime.now(UTC):%Y%m%d}"
        return Ledger(self.parts.sentinel, tenant, name, limits, day, KEPT, lease=LEASE)


async def _reserve(ledger: Ledger, call: str, attempt: str, demand: Demand) -> None:
    dollars = demand.price.cost_usd(demand.request_bytes, demand.max_output_tokens)
    most = Usage(
        prompt_tokens=demand.request_bytes,
        completion_tokens=demand.max_output_tokens,
        cost_usd=dollars,
        model_calls=1,
    )
    reserved = await ledger.reserve(call, attempt, Amounts.of(most))
    if reserved.status is not ReservationStatus.GRANTED:
        whose = "for facts" if reserved.whose == "run" else "of its day"
        raise RetryableError(f"the tenant's budget {whose} has no room ({reserved.what})", after=_WAIT, code=EXHAUSTED)
