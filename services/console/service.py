"""The web console: pages over the gateway's HTTP API, rendered here, with sessions in Redis. It decides nothing."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from prometheus_client import CollectorRegistry, ProcessCollector, make_asgi_app
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from services.console.failures import register_failures
from services.console.gateway import connect
from services.console.identity import Identity
from services.console.live import Feeds
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
    sessions = Sessions(sentinel.own, own.console_session)
    connections = Connections(own, connect(own.gateway), sessions, Identity.of(own))
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    Metrics(registry)
    pages = pages_of(connections, _lifespan(sentinel, connections))

    async def ready() -> bool:
        """Return True if sessions can be kept. Pages say so themselves if the gateway is unavailable."""
        await sentinel.refresh()
        return sentinel.reachable

    inside: dict[str, Any] = dict([*health_routes(ready), ("/metrics", make_asgi_app(registry))])

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        target = inside.get(scope["path"], pages) if scope["type"] == "http" else pages
        await target(scope, receive, send)

    return application


def pages_of(connections: Connections, lifespan: Any) -> ASGIApp:
    """The pages and the stylesheet, protected on the outside: the page of a defect has the headers, too."""
    app = FastAPI(title="Waggle console", lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None)
    app.state.connections, app.state.feeds = connections, Feeds()
    for router in ROUTERS:
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=STATIC))
    register_failures(app)
    environment()
    host = connections.settings.host
    return Protection(app, hosts={host} if host else set(), secure=connections.settings.secure)


def _lifespan(sentinel: Sentinel, connections: Connections) -> Callable[[FastAPI], Any]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await app.state.feeds.close()
        await connections.http.aclose()
        if connections.identity is not None:
            await connections.identity.close()
        await sentinel.close()

    return lifespan


def main() -> None:
    """Serve until asked to stop."""
    settings, own = read_settings(Settings), read_settings(ConsoleSettings)
    secrets = secrets_of(settings, own)
    remember(secrets)
    start_logging(settings.log_level, "console", secrets)
    run_http(application(settings, own), settings, check=check_redis)
