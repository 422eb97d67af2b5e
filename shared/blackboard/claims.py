"""Claims of runs on resources outside, such as "customer 42": of all runs of a tenant, one holds it.

A claim is granted when it is in the journal log, like a post (`shared.blackboard.board`). It ends by its release, by
its time, or with its run: it counts only while its run is live, so no end of a run can forget to release it. Every
claim has a number that is higher than that of every earlier claim of the tenant, by which outside systems can refuse a
former holder.
"""

import asyncio
import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from schemas.board import LONGEST_CLAIM, Claim, ClaimRecorded
from shared.blackboard import keys
from shared.blackboard.board import RETRY_AFTER, Author, Keep, append_and_confirm
from shared.blackboard.scripts import script
from shared.blackboard.sentinel import Sentinel, epoch_of
from shared.errors import TerminalError

MOST_OF_RUN, MOST_OF_TENANT = 50, 1_000
"""Claims held at a time."""

RESERVED_FOR = 10_000
"""Milliseconds that a writer has to append a reserved claim to the log."""

CLAIMS_KEPT = int(LONGEST_CLAIM * 1000) + 3_600_000
"""Milliseconds after the last change until all claims of a tenant have ended by their time."""

_PER_GENERATION = 1 << 32
_RESERVE, _READ = script("claim_reserve", using=("holder",)), script("claims_read", using=("holder",))
_CONFIRM, _RELEASE = script("claim_confirm", using=("put_claim",)), script("claim_release", using=("put_claim",))


class Wanted(NamedTuple):
    """A claim that a run asks for."""

    resource: str
    seconds: float
    """Time after which it ends."""
    reason: str
    place: str
    """Place of the call in the author's work."""


class Refused(NamedTuple):
    """Another run has the resource."""

    holder: Claim


class ClaimStore:
    """Claims of all tenants. Every call names the tenant."""

    def __init__(self, sentinel: Sentinel) -> None:
        self._sentinel = sentinel

    async def held(self, tenant: str, resource: str = "") -> list[Claim]:
        """Return the claims that have not ended, by resource; with `resource`, only the one on it."""
        names = [keys.claims(tenant), keys.SENTINEL]
        value, found = await self._sentinel.scripts.run(_READ, names, [keys.run(tenant, "", "")[:-1], resource])
        await self._sentinel.verify(value)
        return sorted((claim_in(each) for each in found), key=lambda claim: claim.resource)

    async def claim(self, author: Author, wanted: Wanted, keep: Keep, *, within: float = 0.0) -> Claim | Refused:
        """Claim the resource for the author's run, or return its holder. A run that has it keeps its number.

        `within`: seconds to wait for it. Raises BlackboardLost, and TerminalError `too_many_claims` or `run_over`.
        """
        ends = time.monotonic() + within
        while True:
            found = await self._try(author, wanted, keep)
            if isinstance(found, Claim) or (found is not None and time.monotonic() >= ends):
                return found
            await asyncio.sleep(RETRY_AFTER)

    async def _try(self, author: Author, wanted: Wanted, keep: Keep) -> Claim | Refused | None:
        """Return the claim or its holder; None while another writer's reservation is not decided."""
        generation, least = self._sentinel.generation, epoch_of(self._sentinel.generation) * _PER_GENERATION
        names = [*self._keys(author.tenant), keys.SENTINEL]
        place = f"{author.work_id}/{wanted.place}"
        about: list[str | int] = [generation, least, wanted.resource, author.run_id, place]
        limits: list[str | int] = [
            keys.run(author.tenant, "", "")[:-1],
            RESERVED_FOR,
            MOST_OF_RUN,
            MOST_OF_TENANT,
            CLAIMS_KEPT,
        ]
        match await self._sentinel.scripts.run(_RESERVE, names, [*about, *limits]):
            case ["held", holder]:
                return Refused(claim_in(holder))
            case ["own", holder]:
                return await self._extended(claim_in(holder), wanted, keep)
            case ["reserved", number, at]:
                return await self._confirmed(claim_of(author, wanted, int(number), int(at)), keep)
            case ["busy"]:
                return None
            case ["full"]:
                most = f"{MOST_OF_RUN} claims of a run and {MOST_OF_TENANT} of a tenant"
                raise TerminalError(f"at most {most} are held at a time", code="too_many_claims")
            case ["over"]:
                raise TerminalError("the run has ended, and its claims with it", code="run_over")
        return self._sentinel.mark_lost()

    async def _extended(self, held: Claim, wanted: Wanted, keep: Keep) -> Claim | None:
        until = datetime.now(UTC) + timedelta(seconds=wanted.seconds)
        if until <= held.until + timedelta(seconds=1):  # a redelivery does not write it again
            return held
        return await self._confirmed(held.model_copy(update={"until": until}), keep)

    async def _confirmed(self, claim: Claim, keep: Keep) -> Claim | None:
        record = ClaimRecorded(claim=claim).model_dump(mode="json", exclude_defaults=True)
        names = [*self._keys(claim.tenant), keys.SENTINEL, keys.CHECKPOINT]
        about = [claim.resource, str(claim.number), stored(claim)]
        verdict = await append_and_confirm(
            self._sentinel, _CONFIRM, names, about, lambda: keep(f"claim:{claim.number}", record)
        )
        return claim if verdict == "done" else None

    async def release(self, claim: Claim, keep: Keep, *, by: str, why: str) -> None:
        """End a claim, recorded with who ended it and why. A later claim on the resource is not touched."""
        record = ClaimRecorded(claim=claim, released=True, by=by, why=why)
        names = [*self._keys(claim.tenant), keys.SENTINEL, keys.CHECKPOINT]
        about = [claim.resource, str(claim.number), stored(claim)]
        dumped = record.model_dump(mode="json", exclude_defaults=True)
        await append_and_confirm(
            self._sentinel, _RELEASE, names, about, lambda: keep(f"release:{claim.number}", dumped)
        )

    @staticmethod
    def _keys(tenant: str) -> Sequence[str]:
        return keys.claims(tenant), keys.claim_number(tenant)


def claim_of(author: Author, wanted: Wanted, number: int, at: int) -> Claim:
    """Return the claim as it is granted at a time in milliseconds."""
    since = datetime.fromtimestamp(at / 1000, UTC)
    return Claim(
        resource=wanted.resource,
        number=number,
        run_id=author.run_id,
        tenant=author.tenant,
        agent=author.agent,
        step=author.step,
        work_id=author.work_id,
        reason=wanted.reason,
        since=since,
        until=since + timedelta(seconds=wanted.seconds),
    )


def stored(claim: Claim) -> str:
    """Return a claim as Redis holds it: number, end in milliseconds, run, and the claim as JSON."""
    said = json.dumps(claim.model_dump(mode="json"), ensure_ascii=False, separators=(",", ":"))
    return f"{claim.number} {int(claim.until.timestamp() * 1000)} {claim.run_id} {said}"


def claim_in(text: str) -> Claim:
    """Return a claim as Redis holds it."""
    return Claim.model_validate_json(text.split(" ", 3)[3])
