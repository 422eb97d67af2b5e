"""A server of HTTP for tests that stops at once."""

import asyncio
from contextlib import suppress

import uvicorn

GRACE = 1.0
"""Seconds that requests have to end when the server stops."""

LOOK_EVERY = 0.01


class PromptServer(uvicorn.Server):
    """Stops as soon as it should: uvicorn looks ten times a second, before its connections end and after."""

    async def main_loop(self) -> None:
        await self.on_tick(0)
        while not self.should_exit:
            await asyncio.sleep(LOOK_EVERY)

    async def shutdown(self, sockets=None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                while self.server_state.connections or self.server_state.tasks:
                    await asyncio.sleep(LOOK_EVERY)
        for task in self.server_state.tasks:
            task.cancel()
        await self.lifespan.shutdown()
