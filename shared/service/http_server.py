"""HTTP connections that wait for the rest of a request for a bounded time, and a bounded number of them."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_WITHIN = 10.0
"""Seconds for the head of a request, from the start of the connection or from its first byte."""
MOST_CONNECTIONS = 4_000
"""Connections of one process; those beyond are closed at once."""


class BoundedHeads(H11Protocol):
    """Closes a connection whose next request head does not arrive in time.

    A response that is still being written, such as an event stream, has no limit here.
    """

    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Start the timer for a head."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.close()
            return
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Read on; an incomplete head keeps its timer."""
        super().data_received(data)
        if self._busy():
            self._stop_waiting()
        elif self._waiting is None and not self.transport.is_closing():
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        self._stop_waiting()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Wait for the head of a pipelined request, if one has started; an idle connection has uvicorn's limit."""
        super().on_response_complete()
        if self.conn.trailing_data[0] and not self._busy():
            self._await_head()

    def _busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _await_head(self) -> None:
        self._stop_waiting()
        self._waiting = self.loop.call_later(HEAD_WITHIN, self._give_up)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _give_up(self) -> None:
        self._waiting = None
        if not self._busy():
            self.transport.close()
