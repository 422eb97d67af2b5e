"""The web console: pages over the gateway's HTTP API, rendered here, with sessions in Redis. It decides nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from prometheus_client import CollectorRegistry, ProcessCollector, make_asgi_app, start_http_server
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from services.console.failures import register_failures
from services.console.gateway import connect
from services.console.pages import environment
from services.console.protection import Protection
from services.console.routes import ROUTERS
from services.console.sessions import Sessions
from services.console.settings import ConsoleSettings
from services.console.visitor import Connections
from shared.blackboard import Sentinel, check_redis, tls
from shared.config import Settings, read_settings
from shared.service.http import health_routes, run_http
from shared.telemetry.logs import start_logging
from shared.telemetry.metrics import Metrics
from shared.telemetry.redaction import remember, secrets_of

STATIC = Path(__file__).parent / "static"


def application(settings: Settings, own: ConsoleSettings) -> ASGIApp:
    """The console as an ASGI application; its lifespan closes the connections."""
    sentinel = Sentinel(settings.redis, tls(settings))
    connections = Connections(own, connect(settings.gateway), Sessions(sentinel.own, own.console_session))
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    Metrics(registry)
    pages = pages_of(connections, _lifespan(settings, sentinel, connections, registry))
    apart = [] if settings.metrics_port else [("/metrics", make_asgi_app(registry))]

    async def ready() -> bool:
        """Return True if sessions can be kept. Pages say so themselves if the gateway is unavailable."""
        await sentinel.refresh()
        return sentinel.reachable

    inside: dict[str, Any] = dict([*health_routes(ready), *apart])

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        target = inside.get(scope["path"], pages) if scope["type"] == "http" else pages
        await target(scope, receive, send)

    return application


def pages_of(connections: Connections, lifespan: Any) -> FastAPI:
    """The pages and the stylesheet."""
    app = FastAPI(title="Waggle console", lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None)
    app.state.connections = connections
    for router in ROUTERS:
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=STATIC))
    register_failures(app)
    host = connections.settings.host
    app.add_middleware(Protection, hosts={host} if host else set(), secure=connections.settings.secure)
    environment()
    return app


def _lifespan(
    settings: Settings, sentinel: Sentinel, connections: Connections, registry: CollectorRegistry
) -> Callable[[FastAPI], Any]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        stop_metrics = _serve_metrics(settings, registry)
        try:
            yield
        finally:
            await asyncio.to_thread(stop_metrics)
            await connections.http.aclose()
            await sentinel.close()

    return lifespan


def _serve_metrics(settings: Settings, registry: CollectorRegistry) -> Callable[[], None]:
    """Serve metrics on a separate port, if there is one; return the function that stops it."""
    if not settings.metrics_port:
        return lambda: None
    server, _ = start_http_server(settings.metrics_port, settings.http_host, registry)

    def stop() -> None:
        server.shutdown()
        server.server_close()

    return stop


def main() -> None:
    """Serve until asked to stop."""
    settings, own = read_settings(Settings), read_settings(ConsoleSettings)
    secrets = secrets_of(settings, own)
    remember(secrets)
    start_logging(settings.log_level, "console", secrets)
    run_http(application(settings, own), settings, check=check_redis)
