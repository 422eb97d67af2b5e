"""Verification of the audit record, directly in Postgres."""

import asyncio
import os
from collections.abc import Sequence

from services.cli.exit_codes import CommandError, Exit
from services.cli.gateway_url import endpoints, root_folder
from shared import archive
from shared.audit import AuditStore
from shared.audit.verifying import Proof, verify
from shared.config import Settings

_NAME = "WAGGLE_POSTGRES"


def proofs(tenant: str | None, head: tuple[int, str] | None) -> Sequence[Proof]:
    """Return the proof of a tenant, or of all. Raises CommandError if Postgres is unavailable."""
    running = endpoints(root_folder())
    given = {"postgres": running[_NAME]} if _NAME in running and _NAME not in os.environ else {}
    try:
        return asyncio.run(_proofs(Settings(**given), tenant, head))  # type: ignore[arg-type]  # a field that is text
    except archive.OUTAGES as outage:
        raise CommandError(str(outage), "start Postgres, then repeat the command", code=Exit.UNREACHABLE) from None


async def _proofs(settings: Settings, tenant: str | None, head: tuple[int, str] | None) -> Sequence[Proof]:
    store = AuditStore(settings.postgres)
    try:
        names = [tenant] if tenant else await store.tenants()
        return [await verify(store, each, head=head) for each in names]
    finally:
        await store.close()
