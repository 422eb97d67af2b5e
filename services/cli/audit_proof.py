"""Verification, retention and legal hold of the audit record, directly in Postgres."""

import asyncio
import getpass
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from services.cli.exit_codes import CommandError, Exit
from services.cli.gateway_url import endpoints, root_folder
from shared import archive
from shared.audit import AuditStore
from shared.audit.retention import NotRemoved, Policy, change_policy, policy_of, prune
from shared.audit.verifying import Proof, verify
from shared.config import Settings

_NAME = "WAGGLE_POSTGRES"


Answer = TypeVar("Answer")


def proofs(tenant: str | None, head: tuple[int, str] | None) -> Sequence[Proof]:
    """Return the proof of a tenant, or of all. Raises CommandError if Postgres is unavailable."""
    return list(_of_each(tenant, lambda store, name: verify(store, name, head=head)).values())


def policies(tenant: str | None) -> Mapping[str, Policy]:
    """Return the retention of a tenant, or of all. Raises CommandError if Postgres is unavailable."""
    return _of_each(tenant, policy_of)


def changed_policy(tenant: str, reason: str, **change: Any) -> Policy:
    """Change the retention or the hold of a tenant. Raises CommandError if Postgres is unavailable."""
    return _asked(lambda store: change_policy(store, tenant, getpass.getuser(), reason, **change))


def removed(tenant: str | None) -> Mapping[str, int]:
    """Remove what the retention of a tenant, or of all, no longer keeps; return the numbers of rows."""
    try:
        return _of_each(tenant, partial(prune, by=getpass.getuser()))
    except NotRemoved:
        action = "let a user of Postgres with CREATEROLE prepare the record: `waggle audit retention` with its address"
        raise CommandError("the role that removes rows does not exist", action) from None


def _of_each(tenant: str | None, ask: Callable[[AuditStore, str], Awaitable[Answer]]) -> dict[str, Answer]:
    async def asked(store: AuditStore) -> dict[str, Answer]:
        return {name: await ask(store, name) for name in ([tenant] if tenant else await store.tenants())}

    return _asked(asked)


def _asked(ask: Callable[[AuditStore], Awaitable[Answer]]) -> Answer:
    running = endpoints(root_folder())
    given = {"postgres": running[_NAME]} if _NAME in running and _NAME not in os.environ else {}
    try:
        return asyncio.run(_answer(Settings(**given), ask))  # type: ignore[arg-type]  # a field that is text
    except archive.OUTAGES as outage:
        raise CommandError(str(outage), "start Postgres, then repeat the command", code=Exit.UNREACHABLE) from None


async def _answer(settings: Settings, ask: Callable[[AuditStore], Awaitable[Answer]]) -> Answer:
    store = AuditStore(settings.postgres)
    try:
        return await ask(store)
    finally:
        await store.close()
