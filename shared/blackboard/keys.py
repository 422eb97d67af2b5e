"""Names of all keys on the blackboard. A key that belongs to a tenant contains the tenant's name."""

AGENTS = "waggle:agents"
"""Hash: agent name → its card."""

AGENTS_SEEN = "waggle:agents:seen"
"""Sorted set: agent name → time of its last announcement, in seconds of Redis's clock."""

AGENTS_HEALTH = "waggle:agents:health"
"""Hash: `<agent>/<replica>` → what that replica reports of its dependencies."""

AGENTS_HEALTH_SEEN = "waggle:agents:health:seen"
"""Sorted set: `<agent>/<replica>` → time of its last sign of life, in seconds of Redis's clock."""

SENTINEL = "waggle:sentinel"
"""String: `<epoch>:<run id of the Redis server>`; if absent or different, the contents of Redis are not trusted."""

REBUILDING = "waggle:rebuilding"
"""String with a time to live: the process that rebuilds the blackboard."""

CHECKPOINT = "waggle:checkpoint"
"""Hash: log offsets before which this Redis holds every record, and the tokens of the last two checkpoints."""

CHECKPOINTING = "waggle:checkpointing"
"""String with a time to live: present while the next checkpoint is not yet due."""


def run(tenant: str, run_id: str, part: str = "state") -> str:
    """Return the key of a part of one run: `state`, `processed`, `outbox`, `events`, `ledger`."""
    return f"waggle:{tenant}:run:{run_id}:{part}"


def journals(tenant: str, run_id: str) -> str:
    """Set: the keys of the run's journals, which expire with the run's record."""
    return run(tenant, run_id, "journals")


def ledger(tenant: str, run_id: str) -> str:
    """Hash: amounts the run has spent and its calls in progress have reserved, and the status of each call."""
    return run(tenant, run_id, "ledger")


def tenant_ledger(tenant: str) -> str:
    """Hash: amounts the tenant has spent on the day it names, and all its calls in progress have reserved."""
    return f"waggle:{tenant}:ledger"


COST_TENANTS = "waggle:cost-tenants"
"""Sorted set: tenant → the last day on which it spent, as a number."""


def costs(tenant: str, day: str) -> str:
    """Hash: counters of the tenant's costs on that day, such as `20260331`, by UTC."""
    return f"waggle:{tenant}:costs:{day}"


def runs(tenant: str) -> str:
    """Sorted set: run id → start time."""
    return f"waggle:{tenant}:runs"


def runs_marked(tenant: str) -> str:
    """Hash: run id → what lists filter by: format, version and times of the run, and its tags."""
    return f"{runs(tenant)}:marks"


def runs_shown(tenant: str) -> str:
    """Hash: run id → the run as lists show it."""
    return f"{runs(tenant)}:rows"


def runs_tagged(tenant: str, tag: str) -> str:
    """Sorted set: id of each run with the tag → start time."""
    return f"{runs(tenant)}:tag:{tag}"


def runs_asking(tenant: str) -> str:
    """Sorted set: id of each run with an open question → time of its oldest one."""
    return f"{runs(tenant)}:asked"


def runs_changed(tenant: str) -> str:
    """Sorted set: run id → time since which the run is as callers see it."""
    return f"{runs(tenant)}:changed"


def questions(tenant: str) -> str:
    """Sorted set: places of open questions, all with the score 0; their bytes are in the order of an inbox."""
    return f"{runs(tenant)}:questions"


def question_places(tenant: str) -> str:
    """Hash: id of each run with open questions → their places, one a line."""
    return f"{runs(tenant)}:places"


def runs_expiring(tenant: str) -> str:
    """Sorted set: id of each ended run → time at which its record expires, in milliseconds of Redis's clock."""
    return f"{runs(tenant)}:expiry"


def runs_indexed(tenant: str) -> str:
    """String: the format of the index in which all runs of the tenant were found or put."""
    return f"{runs(tenant)}:indexed"


def runs_sweeping(tenant: str) -> str:
    """String with a time to live: present while the next sweep of the index is not yet due."""
    return f"{runs(tenant)}:sweeping"


def session_turns(tenant: str, session: str) -> str:
    """Hash: run id → its turn in the session, and the session's end."""
    return f"waggle:{tenant}:session-turns:{session}"


def session_order(tenant: str, session: str) -> str:
    """Sorted set: run id of each turn of the session → start time in milliseconds."""
    return f"waggle:{tenant}:session-order:{session}"


def session_facts(tenant: str, session: str) -> str:
    """Hash: run id of a turn of the session → the facts extracted from it, as JSON."""
    return f"waggle:{tenant}:session-facts:{session}"


def facts_lock(tenant: str, session: str) -> str:
    """String with a time to live: the process that reads the session's turns for facts."""
    return f"waggle:{tenant}:facts-lock:{session}"


def sessions(tenant: str) -> str:
    """Sorted set: session → time at which it expires, in milliseconds of Redis's clock."""
    return f"waggle:{tenant}:sessions"


def submitted(tenant: str, run_id: str) -> str:
    """Mark of a task that was accepted over HTTP and has not become a run yet."""
    return f"waggle:{tenant}:submitted:{run_id}"


def turn(tenant: str, run_id: str) -> str:
    """String: the start time of a task delayed by its tenant's rate limit."""
    return f"waggle:{tenant}:turn:{run_id}"


def attempts(fingerprint: str) -> str:
    """String: the last attempt scheduled for a record from outside the swarm."""
    return f"waggle:attempts:{fingerprint}"


def journal(tenant: str, work_id: str) -> str:
    """Hash: the journal entries of some work, and the fencing epoch of its worker."""
    return f"waggle:{tenant}:journal:{work_id}"


def wakes(process: str) -> str:
    """Stream: an entry whenever the process that follows runs has to read more streams."""
    return f"waggle:wakes:{process}"


def dead_letter(name: str) -> str:
    """Lock of a dead letter that is being redriven or discarded."""
    return f"waggle:dead:{name}"


def order(digest: str) -> str:
    """String: a signed order that arrived in time, by the SHA-256 of the signed bytes."""
    return f"waggle:order:{digest}"


def breaker(name: str, tenant: str | None = None) -> str:
    """Hash: a circuit breaker, of one tenant or shared by all."""
    return f"waggle:{tenant}:breaker:{name}" if tenant else f"waggle:breaker:{name}"


def bucket(name: str, tenant: str | None = None) -> str:
    """Hash: a rate limiter's token bucket, of one tenant or shared by all."""
    return f"waggle:{tenant}:bucket:{name}" if tenant else f"waggle:bucket:{name}"


def last_good(tenant: str, tool: str, digest: str) -> str:
    """String: the last successful result of a tool with these arguments, and its time."""
    return f"waggle:{tenant}:last-good:{tool}:{digest}"


def audit(tenant: str) -> str:
    """Stream: who looked at the contents of which run; bounded in number and age."""
    return f"waggle:{tenant}:audit"


def told(channel: str, id: str) -> str:
    """String with a time to live: the process that sends a notification, or `sent`."""
    return f"waggle:told:{channel}:{id}"


def digest(channel: str, window: str) -> str:
    """Hash: id of a notification → the notification, collected until the end of the digest."""
    return f"waggle:digest:{channel}:{window}"


def asked(tenant: str, run_id: str, request_id: str) -> str:
    """String with a time to live: a question as it was asked, for reminders about it."""
    return f"waggle:{tenant}:asked:{run_id}:{request_id}"


def board(tenant: str, run_id: str) -> str:
    """Hash: the entries of a run's board in all versions (`e:`), their latest versions (`h:`), and reservations."""
    return run(tenant, run_id, "board")


def claims(tenant: str) -> str:
    """Hash: resource → the claim of a run on it (`c:`), and reservations of claims (`p:`)."""
    return f"waggle:{tenant}:claims"


def claim_number(tenant: str) -> str:
    """String: number of the tenant's last claim. It does not expire: numbers only grow."""
    return f"{claims(tenant)}:number"


def memory_change(tenant: str, id: str) -> str:
    """String with a time to live: lock of a memory that a person is changing."""
    return f"waggle:{tenant}:memory-change:{id}"


def memory_pending(tenant: str, id: str) -> str:
    """String with a time to live: version of a memory that is in the log and was not yet visible."""
    return f"waggle:{tenant}:memory-pending:{id}"
