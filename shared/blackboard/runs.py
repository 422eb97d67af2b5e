"""Runs on the blackboard: loaded whole, written by difference, with compare-and-set on their version."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from schemas.event import RunEvent, State
from shared.blackboard import keys
from shared.blackboard.sentinel import Sentinel
from shared.errors import Conflict
from shared.runs import Run

_SCRIPT = Path(__file__).with_name("commit.lua").read_text()
_STEP = "step:"


@dataclass(frozen=True, slots=True)
class Write:
    """One change of a run, with who made it, when and why, and what is to be published after it."""

    message_id: str
    """The message that was decided about: a second write for it does nothing."""
    before: Run | None
    after: Run
    version: int
    """The version `before` was loaded with."""
    events: Sequence[RunEvent]
    outbox: Mapping[str, str]
    """Id → encoded record."""
    author: str
    why: str


class Committed(NamedTuple):
    """How a write went."""

    fresh: bool
    """False when the message was processed before, so that nothing was written."""
    left: int
    """How many records an earlier write has left in the outbox."""


class RunStore:
    """The runs of all tenants. Every call names the tenant."""

    def __init__(self, sentinel: Sentinel, ttl: float) -> None:
        self._redis = sentinel.client
        self._sentinel = sentinel
        self._ttl = int(ttl * 1000)
        self._commit = self._redis.register_script(_SCRIPT)

    async def load(self, tenant: str, run_id: str) -> tuple[Run | None, int]:
        """The run and its version; None and 0 when there is none. Raises BlackboardLost."""
        fields = await self._whole("hgetall", keys.run(tenant, run_id))
        return (_run(fields), int(fields["version"])) if fields else (None, 0)

    async def state(self, tenant: str, run_id: str) -> State | None:
        """Only where the run stands. Raises BlackboardLost."""
        value = await self._whole("hget", keys.run(tenant, run_id), "state")
        return State(json.loads(value)) if value else None

    async def _whole(self, command: str, *arguments: str) -> Any:
        """What a reading command answers, if the blackboard was whole in the same moment."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.get(keys.SENTINEL)
            getattr(pipe, command)(*arguments)
            value, answer = await pipe.execute()
        self._sentinel.check(value)
        return answer

    async def commit(self, write: Write) -> Committed:
        """Write, all or nothing.

        Raises Conflict when somebody else wrote since `before` was loaded, BlackboardLost.
        """
        run = write.after
        parts = [keys.run(run.tenant, run.id, part) for part in ("state", "processed", "outbox", "events")]
        verdict, version, left = await self._commit(
            keys=[*parts, keys.runs(run.tenant), keys.SENTINEL],
            args=[
                write.version,
                write.message_id,
                self._ttl,
                json.dumps(_changes(write)),
                self._sentinel.generation,
            ],
        )
        if verdict == "lost":
            self._sentinel.doubt()
        if verdict == "conflict":
            raise Conflict(f"{run.id} is at version {version}, not {write.version}")
        return Committed(fresh=verdict == "done", left=int(left))

    async def outbox(self, tenant: str, run_id: str) -> dict[str, str]:
        """What was written to be published and has not been marked as published."""
        waiting: dict[str, str] = await self._redis.hgetall(keys.run(tenant, run_id, "outbox"))
        return waiting

    async def published(self, tenant: str, run_id: str, ids: Sequence[str]) -> None:
        """Mark as published. Raises BlackboardLost when that may have been in vain: decide again then."""
        if ids:
            await self._whole("hdel", keys.run(tenant, run_id, "outbox"), *ids)

    async def latest(self, tenant: str, limit: int, offset: int = 0) -> list[Run]:
        """The tenant's runs, newest first. Runs whose time to live is over are left out and forgotten."""
        ids = await self._redis.zrevrange(keys.runs(tenant), offset, offset + limit - 1)
        async with self._redis.pipeline(transaction=False) as pipe:
            for run_id in ids:
                pipe.hgetall(keys.run(tenant, run_id))
            found = await pipe.execute()
        gone = [run_id for run_id, fields in zip(ids, found, strict=True) if not fields]
        if gone:
            await self._redis.zrem(keys.runs(tenant), *gone)
        return [_run(fields) for fields in found if fields]


def fields_of(run: Run | None) -> dict[str, str]:
    """The run as fields so small that a change writes little: one for each step, one for each other part."""
    if run is None:
        return {}
    data = run.model_dump(mode="json")
    steps = data.pop("steps")
    return {name: json.dumps(value) for name, value in data.items()} | {
        _STEP + key: json.dumps({"order": order, "record": record}) for order, (key, record) in enumerate(steps.items())
    }


def _run(fields: Mapping[str, str]) -> Run:
    steps = sorted((json.loads(value) for name, value in fields.items() if name.startswith(_STEP)), key=_order)
    data = {name: json.loads(fields[name]) for name in Run.model_fields if name in fields}
    records = {each["record"]["step"]["id"]: each["record"] for each in steps}
    return Run.model_validate(data | {"steps": records}, extra="ignore")


def _order(step: dict[str, Any]) -> int:
    return int(step["order"])


def _changes(write: Write) -> dict[str, Any]:
    before, after = fields_of(write.before), fields_of(write.after)
    changed = {name: value for name, value in after.items() if before.get(name) != value}
    at = write.events[-1].at.isoformat() if write.events else write.after.started.isoformat()
    changed |= {"written_by": write.author, "written_at": at, "written_why": write.why}
    return {
        "fields": [part for pair in changed.items() for part in pair],
        "gone": [name for name in before if name not in after],
        "events": [json.dumps({"type": e.wire_type(), "data": e.model_dump(mode="json")}) for e in write.events],
        "outbox": [part for pair in write.outbox.items() for part in pair],
        "run_id": write.after.id,
        "started": write.after.started.timestamp(),
    }
