"""Costs: of single runs, and counters of each tenant's day by agent, model and type of task.

The counters are written in the same step as the run that spent, so each answer counts once and no request reads runs.
A rebuild counts them again from the log. They are kept for KEPT_DAYS, and have at most MOST_FIELDS fields a day: names
beyond that are counted as `(other)`.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from pydantic import ValidationError

from schemas.budget import Usage
from schemas.event import Spent
from schemas.log import RunChanged
from shared.blackboard import keys
from shared.blackboard.connect import Client
from shared.blackboard.ledger import NANO, Amounts

KEPT_DAYS = 40
MOST_FIELDS = 600
COSTS_KEPT = (KEPT_DAYS * 86_400_000, MOST_FIELDS)
"""Lifetime in milliseconds and most counters of a day, as the scripts take them."""

DIMENSIONS = ("all", "agent", "model", "type")
_AMOUNTS = ("nano_usd", "tokens", "model_calls", "tool_calls")
_LONGEST = 200
_SPENT = Spent.wire_type()
_NO_TYPE, _NO_MODEL = "(none)", "(none)"


class Spending(NamedTuple):
    """Sums of a day, or of several, for one name in one dimension."""

    cost_usd: float = 0.0
    tokens: int = 0
    model_calls: int = 0
    tool_calls: int = 0

    def plus(self, other: "Spending") -> "Spending":
        """Return the sum of both."""
        return Spending(
            self.cost_usd + other.cost_usd,
            self.tokens + other.tokens,
            self.model_calls + other.model_calls,
            self.tool_calls + other.tool_calls,
        )


Sums = Mapping[tuple[str, str], Spending]
"""Sums by dimension and name."""


class DayCounters:
    """Counters of one day as the log has them, in the order in which they were first counted."""

    def __init__(self) -> None:
        self._amounts = Counter[str]()
        self._first = dict[str, tuple[datetime, int]]()

    def add(self, at: datetime, counters: Mapping[str, int]) -> None:
        """Add what a change counted at a time."""
        for place, (counter, amount) in enumerate(counters.items()):
            self._amounts[counter] += amount
            self._first[counter] = min((at, place), self._first.get(counter, (at, place)))

    def folded(self, known: Collection[str]) -> Counter[str]:
        """Return the counters as `spend.lua` counts them one by one: those beyond the bound as `(other)`.

        `known`: counters that the day has already.
        """
        names, found = set(known), Counter[str]()
        for counter in sorted(self._first, key=self._first.__getitem__):
            name = counter if counter in names or len(names) < MOST_FIELDS else _other(counter)
            names.add(name)
            found[name] += self._amounts[counter]
        return found


def _other(counter: str) -> str:
    what, dimension, _ = counter.split(":", 2)
    return f"{what}:{dimension}:(other)"


def counters_of(usage: Usage, agent: str, models: Sequence[str], task_type: str | None) -> Counter[str]:
    """Return what an answer adds to the counters of its day."""
    amounts = Amounts.of(usage)._asdict()
    names = {"all": "", "agent": agent, "model": " + ".join(models) or _NO_MODEL, "type": task_type or _NO_TYPE}
    return Counter(
        {
            f"{what}:{dimension}:{name[:_LONGEST]}": amounts[what]
            for what in _AMOUNTS
            if amounts[what]
            for dimension, name in names.items()
        }
    )


def counters_in(events: Iterable[str], task_type: str | None) -> Counter[str]:
    """Return what the events of a change, as logged, add to the counters of its day."""
    found = Counter[str]()
    for event in events:
        if _SPENT in event[:60]:
            data = json.loads(event)["data"]
            found += counters_of(Usage.model_validate(data["usage"]), data["by"], data["models"], task_type)
    return found


def counters_of_change(change: RunChanged, task_type: str | None) -> Counter[str]:
    """Return what a change in the log adds to the counters of its day."""
    return counters_in((each.model_dump_json() for each in change.events if each.type == _SPENT), task_type)


def day_of(at: datetime) -> str:
    """Return the name of a day, by UTC."""
    return at.astimezone(UTC).strftime("%Y%m%d")


async def costs_of(redis: Client, runs: Iterable[tuple[str, str]]) -> Mapping[tuple[str, str], float]:
    """Return the cost so far by tenant and run id; runs that are unknown, or cannot be read, are left out."""
    wanted = sorted(set(runs))
    async with redis.pipeline(transaction=False) as pipe:
        for tenant, run_id in wanted:
            pipe.hget(keys.run(tenant, run_id), "usage")
        found = await pipe.execute()
    costs = dict[tuple[str, str], float]()
    for run, usage in zip(wanted, found, strict=True):
        try:
            costs |= {run: Usage.model_validate_json(usage).cost_usd} if usage else {}
        except ValidationError:
            continue
    return costs


async def days_of_costs(redis: Client, tenant: str, today: date, days: int) -> list[tuple[date, Sums]]:
    """Return the sums of the tenant's last days, oldest first; a day without spending has none."""
    wanted = [today - timedelta(days=back) for back in range(days - 1, -1, -1)]
    async with redis.pipeline(transaction=False) as pipe:
        for day in wanted:
            pipe.hgetall(keys.costs(tenant, day.strftime("%Y%m%d")))
        found = await pipe.execute()
    return [(day, _sums(fields)) for day, fields in zip(wanted, found, strict=True)]


async def tenants_with_costs(redis: Client, since: date, limit: int) -> list[str]:
    """Return tenants that have spent since that day, those that spent last first."""
    low = since.strftime("%Y%m%d")
    return list(await redis.zrange(keys.COST_TENANTS, "+inf", low, desc=True, byscore=True, offset=0, num=limit))


def _sums(fields: Mapping[str, str]) -> Sums:
    found = dict[tuple[str, str], dict[str, int]]()
    for field, amount in fields.items():
        what, dimension, name = field.split(":", 2)
        found.setdefault((dimension, name), {})[what] = int(amount)
    return {
        place: Spending(
            cost_usd=amounts.get("nano_usd", 0) / NANO,
            **{what: amounts.get(what, 0) for what in ("tokens", "model_calls", "tool_calls")},
        )
        for place, amounts in found.items()
    }
