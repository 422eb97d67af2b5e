"""Checkpoint of the logs, kept in the Redis it speaks of: up to these offsets, that Redis holds everything.

Kept there, it is never newer than what it speaks of: a Redis that lost its last second, or that was restored from an
old copy, has the checkpoint of that time.
"""

import json
from collections.abc import Mapping
from typing import NamedTuple
from uuid import uuid4

from shared.blackboard import keys
from shared.blackboard.connect import Client
from shared.blackboard.scripts import script
from shared.blackboard.sentinel import Sentinel

Offsets = Mapping[str, Mapping[str, int]]
"""Topic without prefix → partition → offset."""

_ADVANCE = script("advance")


class Checkpoint(NamedTuple):
    """One checkpoint as it stands in Redis."""

    token: str
    """Names it; empty: there is none."""
    offsets: Offsets
    """Redis holds every record before these; empty until two checkpoints were made."""
    ahead: Mapping[str, int]
    """How far the log of journals had come when this checkpoint was made: by partition."""


async def read_checkpoint(redis: Client) -> Checkpoint:
    """The checkpoint of this Redis."""
    token, offsets, ahead = await redis.hmget(keys.CHECKPOINT, "token", "offsets", "ahead")
    return Checkpoint(token or "", json.loads(offsets or "{}"), json.loads(ahead or "{}"))


async def advance(sentinel: Sentinel, generation: str, before: Checkpoint, offsets: Offsets, reached: Offsets) -> bool:
    """Replace the checkpoint `before`; False when the blackboard or the checkpoint is no longer the caller's."""
    ahead = json.dumps(reached["journal"])
    arguments = [generation, before.token, uuid4().hex, json.dumps(offsets), ahead]
    return bool(await sentinel.scripts.run(_ADVANCE, [keys.CHECKPOINT, keys.SENTINEL], arguments))


async def due(redis: Client, every: float) -> bool:
    """Return whether the caller is the one to make the next checkpoint; true once in so many seconds."""
    return bool(await redis.set(keys.CHECKPOINTING, "1", nx=True, px=int(every * 1000)))
