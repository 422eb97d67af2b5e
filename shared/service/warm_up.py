"""Work that a starting service leaves for later, done in a thread before its first message.

Trade-off: a service is ready half a second of CPU earlier, and a message that comes at once waits for this work. In the
event loop it would hold up heartbeats and health checks.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator

import structlog

from schemas.message import Part
from shared.errors import Misconfigured
from shared.guardrails import preload

log = structlog.get_logger()


class WarmUp:
    """The work of one process; `more` is done after what every service needs."""

    def __init__(self, *more: Callable[[], None]) -> None:
        self._work = (build_validators, preload, *more)
        self._done = asyncio.Event()

    async def run(self) -> None:
        """Do the work. Ends the process if it finds the configuration unusable."""
        try:
            for each in self._work:
                await asyncio.to_thread(each)
        except Misconfigured as why:
            log.error("cannot_serve", error=str(why))  # noqa: TRY400 -- a wrong setting needs no traceback
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            self._done.set()

    async def wait(self) -> None:
        """Return when the work is done."""
        await self._done.wait()


def build_validators() -> None:
    """Build the validators of all messages, which their classes defer to the first use."""
    for each in _below(Part):
        each.model_rebuild()


def _below(kind: type[Part]) -> Iterator[type[Part]]:
    for each in kind.__subclasses__():
        yield each
        yield from _below(each)
