"""Stopping a stack from another process, without importing what runs one."""

import signal
from pathlib import Path

from infra.embedded.state import GRACE, StateFolder, postmaster, stop


def down(root: Path) -> list[str]:
    """Stop everything that an `up` of this clone runs or left behind; return the names of the stopped processes."""
    state = StateFolder(root)
    remembered = state.remembered()
    supervisor = state.supervisor()
    if supervisor is not None:
        stop([supervisor], 2 * GRACE + 5)
    left = [process for each in remembered if (process := each.process()) is not None]
    stop(left, GRACE)
    postgres = _stop_postgres(state.postgres)
    state.clear()
    stopped = [each.name for each in remembered] if supervisor or left else []
    return stopped + (["postgres"] if postgres and "postgres" not in stopped else [])


def _stop_postgres(folder: Path) -> bool:
    """Stop a Postgres that outlived the process that started it."""
    process = postmaster(folder)
    if process is not None:
        stop([process], GRACE, signal.SIGINT)  # Postgres's fast shutdown: do not wait for clients
    return process is not None
