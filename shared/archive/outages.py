"""Outages of Postgres, distinguished from every other failure."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from shared.errors import RetryableError


class ArchiveUnavailable(RetryableError):
    """The archive does not answer or is not ready. Only work that needs it is delayed."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the archive is unavailable: {why}", after=2.0, code="archive_unavailable")


OUTAGES: tuple[type[Exception], ...] = (ArchiveUnavailable,)
"""Postgres is unavailable or not ready: the same call may succeed later."""

_RAISED: tuple[type[Exception], ...] = (
    asyncpg.PostgresConnectionError,  # SQLSTATE class 08
    asyncpg.ReadOnlySQLTransactionError,  # 25006: a standby, or a disk that is full
    asyncpg.InvalidAuthorizationSpecificationError,  # 28: the password was changed
    asyncpg.InvalidCatalogNameError,  # 3D: the database is being restored
    asyncpg.TransactionRollbackError,  # 40: a deadlock, or a conflict
    asyncpg.InsufficientResourcesError,  # 53
    asyncpg.OperatorInterventionError,  # 57: shutdown, start, cancelled statements
    asyncpg.PostgresSystemError,  # 58
    asyncpg.InterfaceError,
    asyncpg.TargetServerAttributeNotMatched,
    TimeoutError,
    OSError,
)
"""The client's errors while Postgres is unavailable, or refuses every request; including builtin ones."""


LACKING: tuple[type[Exception], ...] = (
    asyncpg.InsufficientPrivilegeError,  # 42501
    asyncpg.InvalidSchemaNameError,  # 3F000
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
)
"""Errors of statements of ours in a database that lacks its tables or rights, as one that is being restored."""


@contextmanager
def mapped(*more: type[Exception]) -> Iterator[None]:
    """Raise ArchiveUnavailable for the client's errors during an outage of Postgres, and for these."""
    try:
        yield
    except (*_RAISED, *more) as error:
        raise ArchiveUnavailable(str(error) or type(error).__name__) from error
