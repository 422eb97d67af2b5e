"""The routes, by subject."""

from services.gateway.routes import commands, events, files, listing, runs, swarm, tasks

ROUTERS = (tasks.router, files.router, listing.router, runs.router, events.router, commands.router, swarm.router)

__all__ = ["ROUTERS"]
