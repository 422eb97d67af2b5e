"""The names of everything on the blackboard. Whatever belongs to a tenant has the tenant in its name."""

AGENTS = "waggle:agents"
"""Hash: agent name → its card."""

TIMERS = "waggle:timers"
"""Sorted set: id of a waiting record → when it is due."""

TIMER_RECORDS = "waggle:timers:records"
"""Hash: id of a waiting record → the record."""


def run(tenant: str, run_id: str, part: str = "state") -> str:
    """A part of one run: `state`, `processed`, `outbox`, `events`."""
    return f"waggle:{tenant}:run:{run_id}:{part}"


def runs(tenant: str) -> str:
    """Sorted set: run id → when it started."""
    return f"waggle:{tenant}:runs"


def submitted(tenant: str, run_id: str) -> str:
    """Mark of a task that was accepted over HTTP and is on its way."""
    return f"waggle:{tenant}:submitted:{run_id}"


def journal(tenant: str, handoff_id: str) -> str:
    """Hash: what was done for one handoff, entry by entry."""
    return f"waggle:{tenant}:journal:{handoff_id}"
