"""What was done for some work, entry by entry, so that a redelivery goes on instead of beginning again.

Whoever takes the work over claims the journal; the claim gives a fencing epoch, and an entry with an older one is
refused. An entry is written to the log in Kafka, from which Redis can be made again, and then to Redis, where it is
looked up. That order matters: once Redis has taken it, every rebuild there may be finds it in the log.
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
"""(journal, name) → what a process appended to the log and could not put into Redis, because Redis was lost meanwhile.

Shared by all journals of a process: only it knows that what follows from such an entry has not happened.
"""

INTENT = "/intent"
"""What the name of an entry ends with that says what is about to be done; None takes it back."""

REFUSED = "/refused"
"""What the name of an entry ends with that says why a call was not made."""

OF = "/of"
"""What the name of an entry ends with that says what another one is an answer to: kept beside it, for older readers."""

LOST = "/lost-"
"""Marks the entry for an attempt that has no reply or result: it says what the attempt counts as, and ends with it."""

Keep = Callable[[str, int, Any, Any], Awaitable[None]]
"""Appends an entry to the log in Kafka: its name, the fencing epoch, the entry, what it is an answer to."""

AGAIN_AFTER = 0.2
"""Seconds before an entry is written again that Redis did not take."""

ANSWER = "answer/"
"""What the name of an agent's answer begins with. It is published anyway, so the log does not keep it twice."""

_EPOCH = "epoch"
_NOTHING = "null"
_CLAIM, _WRITE = script("claim", using=("expire",)), script("write")


class Journal:
    """The entries of one piece of work. Each is written once, right after what it records, and is small: a delta.

    It lives as long as its run's record; `ttl` is how many seconds it is kept if the blackboard has no such run.
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
        """Of the blackboard at the claim: after a rebuild the work is to be claimed again."""
        self.epoch = 0
        """The fencing epoch of this claim; it rises with every claim of this work."""

    async def open(self) -> "Journal":
        """Claim the work and read what an earlier delivery left. Raises BlackboardLost."""
        generation = self._generation = self._sentinel.generation
        arguments: list[str | int] = [self._ttl, generation, epoch_of(generation)]
        found = await self._scripts.run(_CLAIM, [self._key, keys.SENTINEL, *self._run], arguments)
        if not found:
            self._sentinel.doubt()
        self._entries = dict(zip(found[::2], found[1::2], strict=True))
        self.epoch = int(self._entries.pop(_EPOCH))
        for place in [each for each in self._leftovers if each[0] == self._key]:
            await self._settle(place[1], self._leftovers[place])
            self._leftovers.pop(place)
        return self

    async def _settle(self, name: str, outcome: Any) -> None:
        """Redis was lost while this process wrote: an outcome is put back, an intent of its own is taken back."""
        recorded = self.entries().get(name)
        if name.endswith(INTENT):
            if recorded == outcome:
                await self.write(name, None)
        elif recorded is None:
            await self.write(name, outcome)

    def __contains__(self, name: str) -> bool:
        """Whether `name` is recorded, and not taken back."""
        return self._entries.get(name, _NOTHING) != _NOTHING

    def __getitem__(self, name: str) -> Any:
        """What is recorded under `name`. Raises KeyError."""
        return json.loads(self._entries[name])

    def about(self, name: str) -> Any:
        """The identity of what the entry is an answer to; None for entries of versions that recorded none."""
        about = self._entries.get(name + OF)
        return None if about is None else json.loads(about)

    async def once(self, name: str, act: Callable[[], Awaitable[Any]], *, of: Any = None) -> Any:
        """The recorded outcome of `name`; if there is none, act and record it. The outcome must be JSON-ready.

        Raises Fenced and BlackboardLost.
        """
        if name not in self:
            await self.write(name, await act(), of=of)
        return self[name]

    async def write(self, name: str, outcome: Any, *, of: Any = None) -> None:
        """Record an entry, and what it is an answer to. None takes it back.

        Raises Fenced when another worker has claimed the work, BlackboardLost.
        """
        written = {name: _written(outcome)} | ({} if of is None else {name + OF: _written(of)})
        verdict, checkpoint = "late", self._sentinel.checkpoint
        while verdict == "late":  # a restart of Redis would not find what was appended so long before
            if not name.startswith(ANSWER):
                await self._keep(name, self.epoch, outcome, of)
            verdict, checkpoint = await self._put(written, checkpoint)
        if verdict == "lost":
            self._leftovers[self._key, name] = outcome
            if of is not None:
                self._leftovers[self._key, name + OF] = of
            self._sentinel.doubt()
        if verdict == "fenced":
            raise Fenced(f"{self._key} was claimed by somebody else")
        self._entries |= written

    async def _put(self, written: Mapping[str, str], checkpoint: str) -> tuple[str, str]:
        """Return the verdict of Redis, and the token of its checkpoint.

        Retry until Redis answers: given up, an entry that the log has would count as one that was never made.
        """
        entries = [part for entry in written.items() for part in entry]
        arguments = [str(self.epoch), self._generation, checkpoint, *entries]
        while True:
            try:
                verdict, token = await self._scripts.run(_WRITE, [self._key, keys.SENTINEL, keys.CHECKPOINT], arguments)
                return str(verdict), str(token)
            except CONNECTION_OUTAGES:
                await asyncio.sleep(AGAIN_AFTER)

    def entries(self) -> dict[str, Any]:
        """Everything recorded, by name; `about` says what an entry is an answer to."""
        return _read({name: entry for name, entry in self._entries.items() if not name.endswith(OF)})


async def read_journal(redis: Client, tenant: str, work_id: str) -> dict[str, Any]:
    """Everything recorded for some work, by name, without claiming it."""
    found = await redis.hgetall(keys.journal(tenant, work_id))
    return _read({name: entry for name, entry in found.items() if name != _EPOCH})


def _written(outcome: Any) -> str:
    return json.dumps(outcome, ensure_ascii=False, separators=(",", ":"))


def _read(entries: Mapping[str, str]) -> dict[str, Any]:
    return {name: json.loads(entry) for name, entry in entries.items()}
