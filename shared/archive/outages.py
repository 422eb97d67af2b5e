"""Postgres being unavailable, told apart from every other failure."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from shared.errors import RetryableError


class ArchiveUnavailable(RetryableError):
    """The archive does not answer or is not ready. Only work that needs it is put off."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the archive is unavailable: {why}", after=2.0, code="archive_unavailable")


OUTAGES: tuple[type[Exception], ...] = (ArchiveUnavailable,)
"""Postgres is unavailable or not ready: the same call may work in a moment."""

_RAISED: tuple[type[Exception], ...] = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InterfaceError,
    TimeoutError,
    OSError,
)
"""What the client raises then, builtin errors among it."""


@contextmanager
def mapped() -> Iterator[None]:
    """Raise ArchiveUnavailable for what the client raises while Postgres is unavailable."""
    try:
        yield
    except _RAISED as away:
        raise ArchiveUnavailable(str(away) or type(away).__name__) from away
