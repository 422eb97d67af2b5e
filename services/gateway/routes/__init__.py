"""All routers."""

from services.gateway.routes import (
    boards,
    checks,
    commands,
    contents,
    costs,
    dead,
    events,
    files,
    forgettings,
    listing,
    memories,
    run_batch,
    runs,
    sessions,
    stops,
    swarm,
    tasks,
    topics,
)

ROUTERS = (
    tasks.router,
    files.router,
    listing.router,
    runs.router,
    contents.router,
    contents.audit,
    boards.router,
    boards.of_run,
    events.router,
    commands.router,
    run_batch.router,
    sessions.router,
    forgettings.router,
    memories.router,
    memories.one,
    costs.router,
    swarm.router,
    topics.router,
    checks.router,
    stops.router,
    dead.router,
    dead.one,
)

__all__ = ["ROUTERS"]
