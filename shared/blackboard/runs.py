"""Runs on the blackboard, written as differences with compare-and-set on the version."""

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, get_type_hints

from pydantic import TypeAdapter

from schemas.caller_message import CallerMessage
from schemas.event import State
from shared.blackboard import keys
from shared.blackboard.conversations import turn_arguments, turn_keys
from shared.blackboard.costs import COSTS_KEPT, counters_in, day_of
from shared.blackboard.entries import entry_of
from shared.blackboard.scripts import script
from shared.blackboard.sentinel import Sentinel
from shared.blackboard.unreadable import UnreadableRun
from shared.errors import Conflict
from shared.runs import ENDS, Run, StepRecord, awaited_handoffs
from shared.runs.conversation import is_written

_COMMIT = script("commit", using=("unindex", "index", "expired", "spend", "turn"))
_PUBLISHED, _READ, _STATE = script("published"), script("read"), script("state")
_STEP = "step:"
_AWAITED = "awaited"
"""Field: the version of the run it belongs to, a space, and the ids of the handoffs the run awaits, as JSON.

`reserve.lua` reads it before each call of a handoff. It is ignored if the run has another version: then a release that
does not know the field has written since.
"""

_FORMER = "request"
"""Field in which an earlier version keeps the one question of a run."""

_ADAPTERS: dict[str, TypeAdapter[Any]] = {
    name: TypeAdapter(kind)
    for name, kind in get_type_hints(Run).items()
    if name in Run.model_fields and name != "steps"
}

REMEMBERED = 1_000
"""Runs that a process caches as it last wrote them."""


class Loaded(NamedTuple):
    """A run as read, with the version and generation that a write based on it must find unchanged."""

    run: Run | None
    version: int
    generation: str
    """Generation of the blackboard: after a rebuild the same version may be another state."""


@dataclass(frozen=True, slots=True)
class Write:
    """One change of a run, with its author, time and reason, and the records to publish after it."""

    message_id: str
    """Mark of the processed message: a second write for it does nothing."""
    before: Run | None
    after: Run
    version: int
    """Version with which `before` was loaded."""
    generation: str
    """Generation from which it was loaded."""
    events: Sequence[str]
    """Events for the live stream, as JSON: {type, data}."""
    outbox: Mapping[str, str]
    """Records to publish: id → encoded record."""
    author: str
    at: str
    why: str
    former_id: str = ""
    """Mark that an earlier release gave that message."""
    gone: Sequence[str] = ()
    """Fields to delete besides those `before` knows: those of a replaced record."""


class Committed(NamedTuple):
    """Outcome of a write."""

    fresh: bool
    """False if the message was processed before, so that nothing was written."""
    left: int
    """Number of outbox records left by earlier writes."""


class RunStore:
    """Store of the runs of all tenants. Every call names the tenant."""

    def __init__(self, sentinel: Sentinel, ttl: float, session_ttl: float | None = None) -> None:
        self._redis = sentinel.client
        self._sentinel = sentinel
        self._scripts = sentinel.scripts
        self._ttl = int(ttl * 1000)
        self._session_ttl = min(ttl, session_ttl or ttl)
        self._remembered: OrderedDict[tuple[str, str, str], Loaded] = OrderedDict()

    async def load(self, tenant: str, run_id: str) -> Loaded:
        """Return the run and its version; None and 0 if there is none. Raises BlackboardLost, UnreadableRun."""
        value, found = await self._scripts.run(_READ, [keys.run(tenant, run_id), keys.SENTINEL], [])
        await self._sentinel.verify(value)
        fields = dict(zip(found[::2], found[1::2], strict=True))
        try:
            return Loaded(*read_run(fields), value)
        except (ValueError, KeyError) as wrong:
            raise UnreadableRun(run_id, fields, value, wrong) from None

    def recall(self, tenant: str, run_id: str) -> Loaded | None:
        """Return the run as this process last wrote it, from its cache; None if it is not cached.

        Another process may have written since, which `commit` detects. Use it only for decisions that are committed.
        """
        return self._remembered.get((self._sentinel.generation, tenant, run_id))

    async def state(self, tenant: str, run_id: str) -> State | None:
        """Return only the state of the run; None for an unknown run. Raises BlackboardLost."""
        sentinel, state = await self._scripts.run(_STATE, [keys.run(tenant, run_id), keys.SENTINEL], ["state"])
        await self._sentinel.verify(sentinel)
        return _ADAPTERS["state"].validate_json(state) if state else None

    async def messages(self, tenant: str, run_id: str) -> list[CallerMessage]:
        """Return the messages that callers have added to the run; none of an unknown run. Raises BlackboardLost."""
        sentinel, found = await self._scripts.run(_STATE, [keys.run(tenant, run_id), keys.SENTINEL], ["messages"])
        await self._sentinel.verify(sentinel)
        return _ADAPTERS["messages"].validate_json(found) if found else []

    async def awaits(self, tenant: str, run_id: str, handoff_id: str) -> bool | None:
        """Return True if the run awaits the handoff; None for an unknown run. Raises BlackboardLost."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.get(keys.SENTINEL)
            pipe.hmget(keys.run(tenant, run_id), "state", "version", _AWAITED)
            sentinel, (state, version, awaited) = await pipe.execute()
        await self._sentinel.verify(sentinel)
        if state is None:
            return None
        at, _, ids = (awaited or "").partition(" ")
        ended = _ADAPTERS["state"].validate_json(state) in ENDS
        return not ended and (at != version or handoff_id in json.loads(ids))

    async def is_over(self, tenant: str, run_id: str) -> bool | None:
        """Return True if the result of the run is published; None for an unknown run. Raises BlackboardLost."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.get(keys.SENTINEL)
            pipe.hmget(keys.run(tenant, run_id), "state", "settling")
            sentinel, (state, settling) = await pipe.execute()
        await self._sentinel.verify(sentinel)
        return _ADAPTERS["state"].validate_json(state) in ENDS and settling != "true" if state else None

    async def commit(self, write: Write) -> Committed:
        """Write one change, all or nothing.

        Raises Conflict if another process wrote since `before` was loaded, and BlackboardLost.
        """
        run, generation = write.after, write.generation
        parts = [keys.run(run.tenant, run.id, part) for part in ("state", "processed", "outbox", "events")]
        also = [keys.ledger(run.tenant, run.id), keys.journals(run.tenant, run.id)]
        also += [keys.costs(run.tenant, day_of(datetime.fromisoformat(write.at))), keys.COST_TENANTS]
        turn = self._turn(write)
        also += turn_keys(run) if turn else []
        entry = entry_of(run, write.version + 1)
        about: list[str | int] = [
            write.version,
            write.message_id,
            self._ttl if run.state in ENDS else 0,
            generation,
            run.id,
            entry.started,
            write.former_id,
            int(write.before is not None and write.before.over and run.over),
            entry.marks,
            entry.row,
        ]
        verdict, version, left = await self._scripts.run(
            _COMMIT, [*parts, keys.runs(run.tenant), keys.SENTINEL, *also], [*about, *_lists(write), len(turn), *turn]
        )
        if verdict == "done":
            self._remember(generation, run, int(version))
            return Committed(fresh=True, left=int(left))
        self._remembered.pop((generation, run.tenant, run.id), None)
        if verdict == "lost":
            self._sentinel.mark_lost()
        if verdict == "conflict":
            raise Conflict(f"{run.id} is at version {version}, not {write.version}")
        return Committed(fresh=False, left=int(left))

    def _turn(self, write: Write) -> list[str | int]:
        """Return the arguments with which the turn of the run is written; none if it does not change."""
        if not is_written(write.before, write.after):
            return []
        return turn_arguments(write.after, datetime.fromisoformat(write.at), self._session_ttl)

    async def outbox(self, tenant: str, run_id: str) -> dict[str, str]:
        """Return the records that are not marked as published: id → encoded record. Raises BlackboardLost."""
        value, fields = await self._scripts.run(_READ, [keys.run(tenant, run_id, "outbox"), keys.SENTINEL], [])
        await self._sentinel.verify(value)
        return dict(zip(fields[::2], fields[1::2], strict=True))

    async def mark_published(self, tenant: str, run_id: str, ids: Sequence[str], generation: str) -> None:
        """Mark records as published. Raises BlackboardLost if the blackboard has changed: decide again then."""
        outbox = keys.run(tenant, run_id, "outbox")
        if not await self._scripts.run(_PUBLISHED, [outbox, keys.SENTINEL], [generation, *ids]):
            self._sentinel.mark_lost()

    def _remember(self, generation: str, run: Run, version: int) -> None:
        key = (generation, run.tenant, run.id)
        self._remembered[key] = Loaded(run, version, generation)
        self._remembered.move_to_end(key)
        while len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)


def fields_of(run: Run, version: int, before: Run | None = None) -> dict[str, str]:
    """Return the run as small fields, so that a change writes little: one per step, one per other part.

    With `before`, only fields that have changed: parts of a run are immutable, so identity means equality.
    """
    fields = {
        name: adapter.dump_json(value).decode()
        for name, adapter in _ADAPTERS.items()
        if (value := getattr(run, name)) is not getattr(before, name, _NOTHING)
    }
    known = before.steps if before else {}
    for place, (key, record) in enumerate(run.steps.items()):
        if known.get(key) is not record:
            fields[_STEP + key] = f'{{"order":{place},"record":{record.model_dump_json()}}}'
    return fields | {_AWAITED: f"{version} {json.dumps(awaited_handoffs(run))}"}


_NOTHING = object()


class _Step(NamedTuple):
    order: int
    record: StepRecord


_STEPS = TypeAdapter(_Step)


def read_run(fields: Mapping[str, str]) -> tuple[Run | None, int]:
    """Return the run in these fields, and its version; None and 0 if there are no fields."""
    if not fields:
        return None, 0
    steps = sorted(
        (_STEPS.validate_json(value) for name, value in fields.items() if name.startswith(_STEP)),
        key=lambda step: step.order,
    )
    former = () if "questions" in fields else (_FORMER,)
    parts = ",".join(f'"{name}":{fields[name]}' for name in (*_ADAPTERS, *former) if name in fields)
    run = Run.model_validate_json(f"{{{parts}}}", extra="ignore")
    return run.model_copy(update={"steps": {each.record.step.id: each.record for each in steps}}), int(
        fields["version"]
    )


def _lists(write: Write) -> list[str | int]:
    """Return the script's lists: deleted fields, changed fields, live events, outbox, costs; each after its length."""
    changed = fields_of(write.after, write.version + 1, write.before)
    changed |= {"written_by": write.author, "written_at": write.at, "written_why": write.why}
    gone = [_STEP + key for key in (write.before.steps if write.before else {}) if key not in write.after.steps]
    gone += [name for name in write.gone if name not in {*changed, "version"}]
    lists: tuple[Sequence[str], ...] = (gone, _flat(changed), write.events, _flat(write.outbox))
    items: list[str | int] = []
    for each in lists:
        items += [len(each), *each]
    spent = _flat({name: str(amount) for name, amount in counters_in(write.events, write.after.task.type).items()})
    return [*items, *COSTS_KEPT, len(spent), *spent]


def _flat(pairs: Mapping[str, str]) -> list[str]:
    return [part for pair in pairs.items() for part in pair]
