"""Costs of runs, read without their other fields."""

from collections.abc import Iterable, Mapping

from pydantic import ValidationError

from schemas.budget import Usage
from shared.blackboard import keys
from shared.blackboard.connect import Client


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
