"""Ids of runs, derived from a task's tenant and idempotency key, or from its event."""

import re
from uuid import NAMESPACE_URL, uuid5

RUN_ID = re.compile(r"run-[0-9a-f]{32}")
"""Id of a run."""


def run_id_for(tenant: str, key: str | None, source: str = "", task_id: str = "") -> str:
    """Return the run id of a task: the same idempotency key of a tenant gives the same run.

    A task without a key is identified by its event's source and id together: two systems may use the same ids.
    """
    named = f"{tenant}:{key}" if key else f"{tenant}\0{source}\0{task_id}"
    return f"run-{uuid5(NAMESPACE_URL, f'waggle:{named}').hex}"
