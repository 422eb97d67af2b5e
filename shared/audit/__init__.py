"""Record of what a swarm did, in Postgres: append-only rows, chained by hash for each tenant, apart from contents."""

from shared.audit.row import SYSTEM, Draft, Place, Row
from shared.audit.store import AuditStore

__all__ = ["SYSTEM", "AuditStore", "Draft", "Place", "Row"]
