"""Scheduling of records: in order within a key, fair between tenants, by priority within a tenant."""

import heapq
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")

CEILING = 2
"""Multiple of the limit that may be in flight if every record beyond the limit is of a tenant that had none."""


@dataclass(slots=True)
class _Tenant:
    """A tenant's keys with records waiting and none in flight, most urgent first, then longest waiting."""

    ready: list[tuple[int, int, Hashable]] = field(default_factory=list)
    in_flight: int = 0
    served: int = 0


class Lanes(Generic[T]):
    """Records taken and not finished. A lane is the records of one key, of which one at a time is in flight.

    At most `limit` records are in flight. A tenant with none in flight may start one beyond that, so that one tenant's
    slow flood does not block the others, up to `CEILING` times the limit regardless of the number of tenants. The
    tenant with the fewest in flight is served next.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lanes: dict[Hashable, deque[tuple[str, int, T]]] = {}
        self._tenants: dict[str, _Tenant] = {}
        self._busy: dict[Hashable, str] = {}
        self._count = 0
        self._turn = 0

    def __len__(self) -> int:
        """Number of records taken and not finished."""
        return self._count

    @property
    def in_flight(self) -> int:
        """Records being processed."""
        return len(self._busy)

    def items(self) -> Iterator[T]:
        """Iterate over every record taken and not finished."""
        return (item for lane in self._lanes.values() for _, _, item in lane)

    def add(self, key: Hashable, item: T, *, tenant: str = "", urgency: int = 0) -> None:
        """Add a record. Among a tenant's keys the highest urgency goes first."""
        self._count += 1
        lane = self._lanes.get(key)
        if lane is not None:
            lane.append((tenant, urgency, item))
            return
        self._lanes[key] = deque([(tenant, urgency, item)])
        self._make_ready(key)

    def next(self) -> tuple[Hashable, T] | None:
        """Return the next record to start and its key; None while none may start."""
        name = self._next_tenant()
        if name is None:
            return None
        tenant = self._tenants[name]
        _, _, key = heapq.heappop(tenant.ready)
        self._turn += 1
        tenant.in_flight, tenant.served = tenant.in_flight + 1, self._turn
        self._busy[key] = name
        return key, self._lanes[key][0][2]

    def finish(self, key: Hashable) -> None:
        """Finish the key's record in flight; the key's next one may start."""
        name = self._busy.pop(key)
        tenant = self._tenants[name]
        tenant.in_flight -= 1
        lane = self._lanes[key]
        lane.popleft()
        self._count -= 1
        if lane:
            self._make_ready(key)
        else:
            del self._lanes[key]
        if not tenant.ready and not tenant.in_flight:
            del self._tenants[name]

    def forget(self, lost: Callable[[T], bool]) -> None:
        """Drop records not yet started for which `lost` is true: another consumer owns them."""
        for key, lane in list(self._lanes.items()):
            started = 1 if key in self._busy else 0
            kept = [entry for place, entry in enumerate(lane) if place < started or not lost(entry[2])]
            self._count -= len(lane) - len(kept)
            if kept:
                self._lanes[key] = deque(kept)
            else:
                del self._lanes[key]
        for tenant in self._tenants.values():
            tenant.ready.clear()
        for key in self._lanes.keys() - self._busy.keys():
            self._make_ready(key)
        self._tenants = {name: each for name, each in self._tenants.items() if each.ready or each.in_flight}

    def _make_ready(self, key: Hashable) -> None:
        name, urgency, _ = self._lanes[key][0]
        self._turn += 1
        heapq.heappush(self._tenants.setdefault(name, _Tenant()).ready, (-urgency, self._turn, key))

    def _next_tenant(self) -> str | None:
        """Return the tenant with the fewest in flight; ties go to the one served longest ago."""
        if len(self._busy) >= CEILING * self._limit:
            return None
        full = len(self._busy) >= self._limit
        waiting = (
            (each.in_flight, each.served, name)
            for name, each in self._tenants.items()
            if each.ready and not (full and each.in_flight)
        )
        return min(waiting, default=(0, 0, None))[2]
