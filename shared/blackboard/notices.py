"""Notifications on the blackboard: claims of what is being sent and was sent, digests, and questions for reminders.

Nothing here is needed to send: a notification waits in Kafka, and is sent once more if Redis has lost its claim.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, NamedTuple
from uuid import uuid4

from pydantic_core import from_json, to_json

from shared.blackboard import keys
from shared.blackboard.connect import Client

SENT = "sent"

LEASE = 1.0
"""Seconds that a claim lasts unless it is renewed. A process that was killed holds it for so long."""

_KEPT = timedelta(days=30)
"""Retention of marks and questions: that of the run log, beyond which no record comes a second time."""


class Waiting(NamedTuple):
    """Answers and further groups of an open question."""

    approvals: tuple[int, ...] = ()
    """Stage of each answer it has."""
    groups: tuple[str, ...] = ()
    """Groups that may answer besides, since it was escalated."""


@dataclass(frozen=True, slots=True)
class Notices:
    """Claims of one process."""

    redis: Client
    owner: str = field(default_factory=lambda: uuid4().hex)

    async def claim(self, channel: str, id: str) -> Literal["ours", "theirs", "sent"]:
        """Claim a letter before it is sent. A claim of this process is renewed."""
        key, lease = keys.told(channel, id), int(LEASE * 1_000)
        if await self.redis.set(key, self.owner, nx=True, px=lease):
            return "ours"
        holder = await self.redis.get(key)
        if holder == self.owner and await self.redis.pexpire(key, lease):
            return "ours"
        return "sent" if holder == SENT else "theirs"

    async def was_sent(self, channel: str, id: str) -> bool:
        """Return true if a letter or notification is marked as sent."""
        return bool(await self.redis.get(keys.told(channel, id)) == SENT)

    async def release(self, channel: str, id: str) -> None:
        """Give up a claim: the letter was certainly not sent."""
        key = keys.told(channel, id)
        if await self.redis.get(key) == self.owner:
            await self.redis.delete(key)

    async def mark_sent(self, channel: str, ids: Sequence[str], window: str | None = None) -> None:
        """Mark letters and notifications as sent, and remove them from their digest."""
        async with self.redis.pipeline(transaction=True) as pipe:
            for id in ids:
                pipe.set(keys.told(channel, id), SENT, ex=_KEPT)
            if window is not None:
                pipe.hdel(keys.digest(channel, window), *ids)
            await pipe.execute()

    async def collect(self, channel: str, window: str, id: str, notice: str, kept: timedelta) -> None:
        """Add a notification to a digest."""
        key = keys.digest(channel, window)
        async with self.redis.pipeline(transaction=True) as pipe:
            pipe.hset(key, id, notice)
            pipe.expire(key, kept)
            await pipe.execute()

    async def collected(self, channel: str, window: str) -> Mapping[str, str]:
        """Return the notifications of a digest that were not sent: id → notification."""
        found: dict[str, str] = await self.redis.hgetall(keys.digest(channel, window))
        return found

    async def keep_question(self, tenant: str, run_id: str, request_id: str, asked: str) -> None:
        """Keep a question for the reminders about it."""
        await self.redis.set(keys.asked(tenant, run_id, request_id), asked, ex=_KEPT)

    async def question(self, tenant: str, run_id: str, request_id: str) -> str | None:
        """Return a question that was kept, or that is still open; None for one that is neither."""
        kept: str | None = await self.redis.get(keys.asked(tenant, run_id, request_id))
        if kept is not None:
            return kept
        open_ones = _object(await self.redis.hget(keys.run(tenant, run_id), "questions"))  # rebuilt after a loss
        asked = _object(_object(open_ones.get(request_id)).get("asked"))
        return to_json(asked).decode() if asked else None

    async def run_facts(self, tenant: str, run_id: str, step_id: str | None) -> tuple[Mapping[str, Any], str | None]:
        """Return the task of a run and the agent of one of its steps; nothing of a run that is gone or unreadable."""
        names = ["task", f"step:{step_id}"]
        task, step = await self.redis.hmget(keys.run(tenant, run_id), names)
        return _object(task), _object(_object(_object(step).get("record")).get("step")).get("agent")

    async def waiting(self, tenant: str, run_id: str, request_id: str) -> Waiting:
        """Return the answers and further groups that an open question has; nothing of one that is decided."""
        questions = _object(await self.redis.hget(keys.run(tenant, run_id), "questions"))
        found = _object(questions.get(request_id))
        votes, groups = found.get("votes"), found.get("groups")
        return Waiting(
            tuple(int(_object(each).get("stage", 0)) for each in votes) if isinstance(votes, list) else (),
            tuple(str(each) for each in groups) if isinstance(groups, list) else (),
        )


def _object(value: Any) -> Mapping[str, Any]:
    """Return a JSON object; an empty one for anything else."""
    try:
        found = from_json(value) if isinstance(value, str) else value
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
