"""Bounded connection pool to Redis for short commands. Blocking reads use connections of their own (followers)."""

from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import ConnectionError  # noqa: A004 -- Redis's own

from shared.blackboard.cancellable import cancellable

CONNECTIONS = 64
"""Connections per process. Scripts share them in pipelines, so few are in use at once."""

PATIENCE = 10.0
"""Seconds a command waits for a connection."""


class NoConnectionFree(ConnectionError):
    """Every connection of this process is in use: the process is overloaded, Redis itself may be healthy."""


class WorkPool(BlockingConnectionPool):
    """Pool in which a command waits for a free connection instead of failing."""

    async def get_connection(self, *given: Any, **more: Any) -> Any:
        """Return a connection. Raises NoConnectionFree if none was released in time."""
        try:
            return await super().get_connection(*given, **more)  # type: ignore[no-untyped-call]
        except ConnectionError as refused:
            if isinstance(refused.__cause__, TimeoutError) and self.is_exhausted:
                raise NoConnectionFree("every connection to Redis is in use") from refused
            raise

    @property
    def is_exhausted(self) -> bool:
        """True if a command would have to wait."""
        return not self.can_get_connection()


def working_client(url: str, *, most: int = CONNECTIONS, patience: float = PATIENCE, **given: Any) -> Any:
    """Return a client whose commands share a bounded number of connections."""
    return cancellable(Redis.from_pool(WorkPool.from_url(url, max_connections=most, timeout=patience, **given)))
