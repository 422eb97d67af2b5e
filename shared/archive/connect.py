"""Connectivity check of Postgres."""

import time

import asyncpg

from shared.archive.outages import mapped
from shared.errors import Misconfigured
from shared.system.refusals import tls_refusal
from shared.system.urls import without_password

_WITHIN = 3.0
"""Seconds Postgres may take to answer."""


async def check_postgres(dsn: str) -> None:
    """Raise Misconfigured if Postgres rejects the user, the database or TLS; ignore it if it is unavailable."""
    try:
        connection = await asyncpg.connect(dsn, timeout=_WITHIN)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, ValueError) as error:
        if refused := _refusal(error, f"Postgres at {without_password(dsn)}"):
            raise Misconfigured(refused) from None
    else:
        await connection.close()


def _refusal(error: Exception, server: str) -> str | None:
    """Return advice if waiting cannot help; None if it can."""
    match error:
        case asyncpg.InvalidPasswordError():
            return f"{server} refuses the user or the password in WAGGLE_POSTGRES"
        case asyncpg.InvalidAuthorizationSpecificationError():
            return f"{server} does not let this user in ({error}): correct WAGGLE_POSTGRES, or the server's pg_hba.conf"
        case asyncpg.InvalidCatalogNameError():
            return f"{server} has no such database: create it, or correct WAGGLE_POSTGRES"
        case ConnectionError() if "rejected SSL upgrade" in str(error):
            return f"{server} does not speak TLS, which sslmode in WAGGLE_POSTGRES asks for"
    if refused := tls_refusal(error, server, "WAGGLE_POSTGRES"):
        return refused
    unusable = "WAGGLE_POSTGRES is no usable Postgres URL: docs/secure-transport.md says how it is written"
    return unusable if isinstance(error, ValueError) else None


async def survey(dsn: str) -> tuple[int, float]:
    """Return Postgres's major release and the seconds its clock is ahead. Raises ArchiveUnavailable."""
    with mapped():
        return await _surveyed(dsn)


async def _surveyed(dsn: str) -> tuple[int, float]:
    connection = await asyncpg.connect(dsn, timeout=_WITHIN)
    try:
        before = time.time()
        theirs = await connection.fetchval("SELECT extract(epoch FROM clock_timestamp())::float8")
        return connection.get_server_version().major, theirs - (before + time.time()) / 2
    finally:
        await connection.close()
