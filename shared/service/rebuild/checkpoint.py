"""Writes the checkpoint that a restarted Redis is verified with."""

import asyncio

import structlog
from aiokafka.errors import KafkaError

from shared.blackboard import OUTAGES, Sentinel, advance, claim_checkpoint_turn, read_checkpoint
from shared.bus import Ends, ends
from shared.config import Settings
from shared.service.rebuild.generations import LOGS
from shared.telemetry.logs import SELDOM

log = structlog.get_logger()

EVERY = 5.0
"""Seconds between two checkpoints: about so much of the logs is read after a restart."""

ROUNDS = 100
"""Checkpoints between two looks at how many partitions there are."""


async def keep_checkpoint(sentinel: Sentinel, settings: Settings) -> None:
    """Write a checkpoint every few seconds for ever; of several processes one does."""
    while True:
        try:
            async with ends(settings, LOGS) as ask:
                for _ in range(ROUNDS):
                    await sentinel.wait_ready()
                    if await claim_checkpoint_turn(sentinel.client, EVERY) and not await checkpoint(sentinel, ask):
                        await checkpoint(sentinel, ask)
                    await asyncio.sleep(EVERY / 2)
        except (KafkaError, *OUTAGES) as unavailable:
            log.info("checkpoint_delayed", why=str(unavailable), **SELDOM)
            await asyncio.sleep(EVERY)


async def checkpoint(sentinel: Sentinel, ask: Ends) -> bool:
    """Write the next checkpoint, if anything has happened since; return False for the first, which has no offsets.

    The order matters: generation, last checkpoint, ends of the logs, new checkpoint.
    `shared.service.rebuild.verify` says why.
    """
    generation = sentinel.generation
    before = await read_checkpoint(sentinel.client)
    reached = await ask()
    offsets = {**reached, "journal": before.ahead} if before.token else {}
    if (offsets, reached["journal"]) != (before.offsets, before.ahead):
        await advance(sentinel, generation, before, offsets, reached)
    return bool(offsets)
