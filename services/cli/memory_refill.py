"""A request that the memory service fills Postgres from the topic `memories` again."""

import asyncio
import os

from services.cli.exit_codes import CommandError, Exit
from services.cli.gateway_url import endpoints, root_folder
from shared import archive
from shared.config import Settings
from shared.memory import MemoryStore
from shared.memory.view import MemoryView

_NAME = "WAGGLE_POSTGRES"


def refill_memories() -> None:
    """Have the store filled again. Raises CommandError if Postgres is unavailable."""
    running = endpoints(root_folder())
    given = {"postgres": running[_NAME]} if _NAME in running and _NAME not in os.environ else {}
    try:
        asyncio.run(_request(Settings(**given)))  # type: ignore[arg-type]  # a field that is text
    except archive.OUTAGES as outage:
        raise CommandError(str(outage), "start Postgres, then repeat the command", code=Exit.UNREACHABLE) from None


async def _request(settings: Settings) -> None:
    store = MemoryStore(settings.postgres)
    try:
        await MemoryView(store).request_fill()
    finally:
        await store.close()
