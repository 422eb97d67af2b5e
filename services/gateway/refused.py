"""Record of refused requests: each second, a row of the audit record for each reason and caller, with their number."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from secrets import randbelow
from typing import Any, NamedTuple

import structlog

from shared import archive
from shared.audit import SYSTEM, AuditStore, Draft, Place
from shared.audit.store import Recorded
from shared.telemetry.logs import SELDOM

MOST = 100
"""Kinds of refusals that wait to be recorded; more are counted together."""

EVERY = 1.0
"""Seconds between two writes."""

REFUSAL = "refusal"
LONGEST_PATH = 200

log = structlog.get_logger()


class Refusal(NamedTuple):
    """A refusal, as far as it is recorded."""

    reason: str
    name: str
    peer: str
    path: str


OTHERS = Refusal("others", "", "", "")


@dataclass(slots=True)
class RefusedRequests:
    """Refusals that wait to be recorded. Nothing of a key is among them."""

    store: AuditStore
    _waiting: Counter[Refusal] = field(default_factory=Counter)
    _source: int = field(default_factory=lambda: randbelow(2**31))
    """Distinguishes the rows of several gateways."""

    def note(self, reason: str, name: str | None, peer: str, path: str) -> None:
        """Have a refusal recorded."""
        found = Refusal(reason, name or "", peer, path[:LONGEST_PATH])
        self._waiting[found if found in self._waiting or len(self._waiting) < MOST else OTHERS] += 1

    async def record_regularly(self) -> None:
        """Write what waits, without end. While Postgres does not answer, it waits."""
        while True:
            await asyncio.sleep(EVERY)
            try:
                await self.record()
            except archive.OUTAGES as outage:
                log.warning("dependency_unavailable", error=repr(outage), **SELDOM)

    async def record(self) -> None:
        """Write what waits. Raises ArchiveUnavailable."""
        if not (found := self._waiting):
            return
        self._waiting = Counter()
        try:
            await self.store.append([self._recorded(found)])
        except BaseException:
            self._waiting = _together(found, self._waiting)
            raise

    def _recorded(self, found: Counter[Refusal]) -> Recorded:
        now = datetime.now(UTC)
        place = Place("refusals", self._source, int(now.timestamp() * 1_000_000))
        return Recorded(place, [_draft(each, number, now) for each, number in found.items()])


def _draft(refused: Refusal, number: int, at: datetime) -> Draft:
    named: dict[str, Any] = {"name": refused.reason, "by": refused.name, "outcome": "refused"}
    contents = {"peer": refused.peer, "path": refused.path}
    return Draft(tenant=SYSTEM, at=at, kind=REFUSAL, facts={"number": number}, contents=contents, **named)


def _together(first: Counter[Refusal], second: Counter[Refusal]) -> Counter[Refusal]:
    """Return both, with those that are too many counted together."""
    known = Counter(dict((first + second).most_common(MOST)))
    rest = (first + second).total() - known.total()
    return known + Counter({OTHERS: rest})
