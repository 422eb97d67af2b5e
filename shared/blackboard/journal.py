"""Journal of one piece of work, entry by entry, so that a redelivery resumes instead of starting over.

A worker that takes the work over claims the journal. The claim returns a fencing epoch; entries with an older epoch are
refused. An entry is written to the log in Kafka, from which Redis can be rebuilt, and then to Redis, where it is looked
up. The order matters: once Redis has accepted an entry, every later rebuild finds it in the log.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from shared.blackboard import keys
from shared.blackboard.connect import CONNECTION_OUTAGES, Client
from shared.blackboard.scripts import script
from shared.blackboard.sentinel import Sentinel, epoch_of
from shared.errors import Fenced

Leftovers = dict[tuple[str, str], Any]
"""(journal, name) → entry that was appended to the log but not written to Redis, because Redis was lost in between.

Shared by all journals of a process: only this process knows that nothing was done on such an entry.
"""

INTENT = "/intent"
"""Suffix of an entry that records an intent before the action; writing None revokes it."""

REFUSED = "/refused"
"""Suffix of an entry that records why a call was not made."""

EDITED = "/edited"
"""Suffix of an entry that records the arguments a person has put in place of a call's own."""

ASKED = "/question"
"""Suffix of an entry that records the answer to an agent's own question."""

NOT_A_CALL = (INTENT, REFUSED, EDITED, ASKED)
"""Suffixes of entries at the place of a call that count as no call."""

OF = "/of"
"""Suffix of an entry that identifies the request another entry answers; separate, for older readers."""

LOST = "/lost-"
"""Infix of an entry for an attempt without a reply or result; the attempt follows it, the entry is its assumed cost."""

Keep = Callable[[str, int, Any, Any], Awaitable[None]]
"""Appends an entry to the log in Kafka: its name, the fencing epoch, the entry, the request it answers."""

RETRY_AFTER = 0.2
"""Seconds before a write that Redis did not accept is retried."""

ANSWER = "answer/"
"""Prefix of an agent's answer. The answer is published anyway, so it is not appended to the journal log."""

_EPOCH = "epoch"
_NOTHING = "null"
_CLAIM, _WRITE = script("claim", using=("expire",)), script("write")


class Journal:
    """Entries of one piece of work. Each is a small delta, written once, right after the action it records.

    The journal expires with its run's record; `ttl` is its lifetime in seconds if the blackboard has no such run.
    """

    def __init__(
        self,
        sentinel: Sentinel,
        tenant: str,
        work_id: str,
        ttl: float,
        keep: Keep,
        leftovers: Leftovers | None = None,
    ) -> None:
        self._sentinel = sentinel
        self._key = keys.journal(tenant, work_id)
        self._ttl = int(ttl * 1000)
        run_id = work_id.partition("/")[0]
        self._run = [keys.run(tenant, run_id), keys.journals(tenant, run_id)]
        self._keep = keep
        self._leftovers: Leftovers = {} if leftovers is None else leftovers
        self._scripts = sentinel.scripts
        self._entries: dict[str, str] = {}
        self._generation = ""
        """Generation of the blackboard at the claim: after a rebuild the work must be claimed again."""
        self.epoch = 0
        """Fencing epoch of this claim; it rises with every claim of this work."""

    async def open(self) -> "Journal":
        """Claim the work and read the entries of earlier deliveries. Raises BlackboardLost."""
        generation = self._generation = self._sentinel.generation
        arguments: list[str | int] = [self._ttl, generation, epoch_of(generation)]
        found = await self._scripts.run(_CLAIM, [self._key, keys.SENTINEL, *self._run], arguments)
        if not found:
            self._sentinel.mark_lost()
        self._entries = dict(zip(found[::2], found[1::2], strict=True))
        self.epoch = int(self._entries.pop(_EPOCH))
        for place in [each for each in self._leftovers if each[0] == self._key]:
            await self._settle(place[1], self._leftovers[place])
            self._leftovers.pop(place)
        return self

    async def _settle(self, name: str, outcome: Any) -> None:
        """Repair a write during which Redis was lost: restore an outcome, revoke an intent of this process."""
        recorded = self.entries().get(name)
        if name.endswith(INTENT):
            if recorded == outcome:
                await self.write(name, None)
        elif recorded is None:
            await self.write(name, outcome)

    def __contains__(self, name: str) -> bool:
        """Return True if `name` is recorded and not revoked."""
        return self._entries.get(name, _NOTHING) != _NOTHING

    def __getitem__(self, name: str) -> Any:
        """Return the entry `name`. Raises KeyError."""
        return json.loads(self._entries[name])

    def about(self, name: str) -> Any:
        """Return the identity of the request the entry answers; None for entries of versions that recorded none."""
        about = self._entries.get(name + OF)
        return None if about is None else json.loads(about)

    async def once(self, name: str, act: Callable[[], Awaitable[Any]], *, of: Any = None) -> Any:
        """Return the recorded outcome of `name`; if there is none, act and record it. It must be JSON-serializable.

        Raises Fenced and BlackboardLost.
        """
        if name not in self:
            await self.write(name, await act(), of=of)
        return self[name]

    async def write(self, name: str, outcome: Any, *, of: Any = None) -> None:
        """Record an entry, and the request it answers. None revokes it.

        Raises Fenced if another worker has claimed the work, and BlackboardLost.
        """
        written = {name: _encode(outcome)} | ({} if of is None else {name + OF: _encode(of)})
        verdict, checkpoint = "late", self._sentinel.checkpoint
        while verdict == "late":  # a rebuild after a restart would not read the log from that far back
            if not name.startswith(ANSWER):
                await self._keep(name, self.epoch, outcome, of)
            verdict, checkpoint = await self._put(written, checkpoint)
        if verdict == "lost":
            self._leftovers[self._key, name] = outcome
            if of is not None:
                self._leftovers[self._key, name + OF] = of
            self._sentinel.mark_lost()
        if verdict == "fenced":
            raise Fenced(f"{self._key} was claimed by another worker")
        self._entries |= written

    async def _put(self, written: Mapping[str, str], checkpoint: str) -> tuple[str, str]:
        """Return the verdict of Redis, and the token of its checkpoint.

        Retries until Redis answers: after giving up, an entry in the log would count as never written.
        """
        entries = [part for entry in written.items() for part in entry]
        arguments = [str(self.epoch), self._generation, checkpoint, *entries]
        while True:
            try:
                verdict, token = await self._scripts.run(_WRITE, [self._key, keys.SENTINEL, keys.CHECKPOINT], arguments)
                return str(verdict), str(token)
            except CONNECTION_OUTAGES:
                await asyncio.sleep(RETRY_AFTER)

    def entries(self) -> dict[str, Any]:
        """Return all entries by name, without the requests they answer (see `about`)."""
        return _decode({name: entry for name, entry in self._entries.items() if not name.endswith(OF)})


async def read_journal(redis: Client, tenant: str, work_id: str) -> dict[str, Any]:
    """Return all entries of some work by name, without claiming it."""
    found = await redis.hgetall(keys.journal(tenant, work_id))
    return _decode({name: entry for name, entry in found.items() if name != _EPOCH})


def _encode(outcome: Any) -> str:
    return json.dumps(outcome, ensure_ascii=False, separators=(",", ":"))


def _decode(entries: Mapping[str, str]) -> dict[str, Any]:
    return {name: json.loads(entry) for name, entry in entries.items()}
