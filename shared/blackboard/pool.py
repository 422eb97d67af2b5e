"""Connections to Redis for work: a bounded number, waited for in turn. What waits for news has its own elsewhere."""

from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import ConnectionError  # noqa: A004 -- Redis's own

CONNECTIONS = 64
"""Connections of one process. Scripts share them in pipelines, so few are in use at once."""

PATIENCE = 10.0
"""Seconds a command waits for a connection."""


class NoConnectionFree(ConnectionError):
    """Every connection of this process is in use: it asks more of Redis than fits. Redis itself is not in doubt."""


class WorkPool(BlockingConnectionPool):
    """A pool in which a command waits for its turn instead of failing."""

    async def get_connection(self, *given: Any, **more: Any) -> Any:
        """Return a connection. Raises NoConnectionFree when none was given back in time."""
        try:
            return await super().get_connection(*given, **more)  # type: ignore[no-untyped-call]
        except ConnectionError as refused:
            if isinstance(refused.__cause__, TimeoutError) and self.is_exhausted:
                raise NoConnectionFree("every connection to Redis is in use") from refused
            raise

    @property
    def is_exhausted(self) -> bool:
        """Whether a command would have to wait."""
        return not self.can_get_connection()


def working_client(url: str, *, most: int = CONNECTIONS, patience: float = PATIENCE, **given: Any) -> Any:
    """Return a client whose commands share a bounded number of connections."""
    return Redis.from_pool(WorkPool.from_url(url, max_connections=most, timeout=patience, **given))
