"""Checkpoint of the logs: Redis holds every record before these offsets.

It is stored in the same Redis, so it is never newer than the data it describes: a Redis that lost its last second, or
was restored from an old copy, also has the checkpoint of that time.
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
    """One checkpoint as stored in Redis."""

    token: str
    """Id of the checkpoint; empty if there is none."""
    offsets: Offsets
    """Redis holds every record before these; empty until two checkpoints were made."""
    ahead: Mapping[str, int]
    """End of the journal log when this checkpoint was made, by partition."""


async def read_checkpoint(redis: Client) -> Checkpoint:
    """Return the checkpoint of this Redis."""
    token, offsets, ahead = await redis.hmget(keys.CHECKPOINT, "token", "offsets", "ahead")
    return Checkpoint(token or "", json.loads(offsets or "{}"), json.loads(ahead or "{}"))


async def advance(sentinel: Sentinel, generation: str, before: Checkpoint, offsets: Offsets, reached: Offsets) -> bool:
    """Replace the checkpoint `before`; return False if the blackboard or the checkpoint has changed since."""
    ahead = json.dumps(reached["journal"])
    arguments = [generation, before.token, uuid4().hex, json.dumps(offsets), ahead]
    return bool(await sentinel.scripts.run(_ADVANCE, [keys.CHECKPOINT, keys.SENTINEL], arguments))


async def claim_checkpoint_turn(redis: Client, every: float) -> bool:
    """Return True to one caller every `every` seconds: that caller makes the next checkpoint."""
    return bool(await redis.set(keys.CHECKPOINTING, "1", nx=True, px=int(every * 1000)))
