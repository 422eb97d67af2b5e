"""The gateway: the swarm over HTTP. It publishes tasks and commands, and reads the blackboard; it decides nothing."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from prometheus_client import make_asgi_app
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from services.gateway import errors
from services.gateway.doors import Doors
from services.gateway.errors import Failure
from services.gateway.routes import runs, swarm, tasks
from shared.service import Parts, connect, health_routes, run_http
from shared.settings import Settings

_DESCRIPTION = """\
Submit tasks, read and follow runs, decide what they wait for. Every error has the shape
`{"error": {code, message, retryable, suggested_action}}`.
"""


def create_app(parts: Parts) -> FastAPI:
    """The application; its parts are connected while it runs."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await parts.broker.start()
        yield
        parts.stopping = True
        await parts.broker.stop()
        await parts.close()

    failures: dict[int | str, dict[str, Any]] = {status: {"model": Failure} for status in (404, 409, 413, 422, 503)}
    app = FastAPI(title="Waggle", version="1", description=_DESCRIPTION, lifespan=lifespan, responses=failures)
    app.state.doors = Doors(parts)
    for module in (tasks, runs, swarm):
        app.include_router(module.router)
    for path, endpoint in [*health_routes(parts), ("/metrics", make_asgi_app(parts.registry))]:
        app.router.routes.append(Route(path, _Asgi(endpoint)))
    errors.install(app)
    return app


class _Asgi:
    """Marks an ASGI application as one: a route takes a plain function for a request handler."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def main() -> None:
    """Serve until asked to stop."""
    settings = Settings()
    run_http(create_app(connect("gateway", settings)), settings)
