"""Writes the checkpoint against which a restarted Redis is verified."""

import asyncio

import structlog
from aiokafka.errors import KafkaError

from shared.blackboard import OUTAGES, Sentinel, advance, claim_checkpoint_turn, read_checkpoint
from shared.bus.admin import Ends, ends
from shared.config import Settings
from shared.service.rebuild.generations import LOGS
from shared.telemetry.logs import SELDOM

log = structlog.get_logger()

EVERY = 5.0
"""Seconds between two checkpoints: after a restart, about this much of the logs is read."""

ROUNDS = 100
"""Checkpoints between two checks of the number of partitions."""


async def keep_checkpoint(sentinel: Sentinel, settings: Settings) -> None:
    """Write a checkpoint every few seconds, without end; one of several processes does it each time."""
    while True:
        try:
            async with ends(settings, LOGS) as ask:
                for _ in range(ROUNDS):
                    await sentinel.wait_ready()
                    if await claim_checkpoint_turn(sentinel.client, EVERY) and not await checkpoint(sentinel, ask):
                        await checkpoint(sentinel, ask)
                    await asyncio.sleep(EVERY / 2)
        except (KafkaError, *OUTAGES) as unavailable:
            log.info("checkpoint_delayed", reason=str(unavailable), **SELDOM)
            await asyncio.sleep(EVERY)


async def checkpoint(sentinel: Sentinel, ask: Ends) -> bool:
    """Write the next checkpoint, if anything has changed since; return False for the first, which has no offsets.

    The order matters: generation, last checkpoint, ends of the logs, new checkpoint.
    `shared.service.rebuild.verify` explains why.
    """
    generation = sentinel.generation
    before = await read_checkpoint(sentinel.client)
    reached = await ask()
    offsets = {**reached, "journal": before.ahead} if before.token else {}
    if (offsets, reached["journal"]) != (before.offsets, before.ahead):
        await advance(sentinel, generation, before, offsets, reached)
    return bool(offsets)
