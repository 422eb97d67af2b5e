"""The names of everything on the blackboard. Whatever belongs to a tenant has the tenant in its name."""

AGENTS = "waggle:agents"
"""Hash: agent name → its card."""

AGENTS_SEEN = "waggle:agents:seen"
"""Sorted set: agent name → when it was last heard of, in seconds by Redis's clock."""

SENTINEL = "waggle:sentinel"
"""String: `<epoch>:<run id of the Redis server>`; absent or different: what Redis holds is not to be trusted."""

REBUILDING = "waggle:rebuilding"
"""String with a time to live: who rebuilds the blackboard."""

CHECKPOINT = "waggle:checkpoint"
"""Hash: offsets of the logs up to which this Redis holds everything, and the tokens of the last two checkpoints."""

CHECKPOINTING = "waggle:checkpointing"
"""String with a time to live: present while the next checkpoint is not yet due."""


def run(tenant: str, run_id: str, part: str = "state") -> str:
    """A part of one run: `state`, `processed`, `outbox`, `events`, `ledger`."""
    return f"waggle:{tenant}:run:{run_id}:{part}"


def journals(tenant: str, run_id: str) -> str:
    """Set: the keys of the run's journals, which live as long as the run's record."""
    return run(tenant, run_id, "journals")


def ledger(tenant: str, run_id: str) -> str:
    """Hash: what the run has spent and what its calls under way have reserved, and of each call how it stands."""
    return run(tenant, run_id, "ledger")


def tenant_ledger(tenant: str) -> str:
    """Hash: what the tenant has spent on the day it names, and what all its calls under way have reserved."""
    return f"waggle:{tenant}:ledger"


def runs(tenant: str) -> str:
    """Sorted set: run id → when it started."""
    return f"waggle:{tenant}:runs"


def submitted(tenant: str, run_id: str) -> str:
    """Mark of a task that was accepted over HTTP and is on its way."""
    return f"waggle:{tenant}:submitted:{run_id}"


def turn(tenant: str, run_id: str) -> str:
    """String: the time at which a task that its tenant's rate holds back may begin."""
    return f"waggle:{tenant}:turn:{run_id}"


def attempts(fingerprint: str) -> str:
    """String: the attempt for which a record from outside the swarm was put back last."""
    return f"waggle:attempts:{fingerprint}"


def journal(tenant: str, work_id: str) -> str:
    """Hash: what was done for some work, entry by entry, and the fencing epoch of who does it."""
    return f"waggle:{tenant}:journal:{work_id}"


def wakes(process: str) -> str:
    """Stream: an entry whenever the process that follows runs has to look for more of them."""
    return f"waggle:wakes:{process}"


def dead_letter(name: str) -> str:
    """Held by whoever deals with a dead letter right now."""
    return f"waggle:dead:{name}"


def order(digest: str) -> str:
    """String: this signed order has arrived in time; by the SHA-256 of what was signed."""
    return f"waggle:order:{digest}"


def breaker(name: str, tenant: str | None = None) -> str:
    """Hash: whether something that is called is worth calling; of one tenant's own, or for everybody."""
    return f"waggle:{tenant}:breaker:{name}" if tenant else f"waggle:breaker:{name}"


def bucket(name: str, tenant: str | None = None) -> str:
    """Hash: how much of something may be used right now; by one tenant, or by everybody together."""
    return f"waggle:{tenant}:bucket:{name}" if tenant else f"waggle:bucket:{name}"


def last_good(tenant: str, tool: str, digest: str) -> str:
    """String: when a tool has last worked with these arguments, and its result."""
    return f"waggle:{tenant}:last-good:{tool}:{digest}"
