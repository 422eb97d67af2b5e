"""The routes, by subject."""

from services.gateway.routes import commands, dead, events, files, listing, runs, swarm, tasks

ROUTERS = tuple(each.router for each in (tasks, files, listing, runs, events, commands, swarm, dead))

__all__ = ["ROUTERS"]
