"""The gateway: HTTP in front of the swarm. Tasks and commands go to Kafka, what is shown comes from the blackboard."""

from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from prometheus_client import make_asgi_app
from starlette.types import ASGIApp, Receive, Scope, Send

from services.gateway.failures import answer_failures
from services.gateway.limits import LimitedBodies
from services.gateway.routes import ROUTERS
from shared.bus.stops import Stops
from shared.service import Parts, connect, watch_blackboard
from shared.serving import health_routes, run_http
from shared.settings import Settings, read_settings

UPLOADS = "/v1/files"


def application(parts: Parts) -> ASGIApp:
    """The gateway as an ASGI application. Its lifespan starts the broker and gives all connections back."""
    api = api_of(parts)
    inside: dict[str, Any] = {**dict(health_routes(parts.reachable)), "/metrics": make_asgi_app(parts.registry)}

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        target = inside.get(scope["path"], api) if scope["type"] == "http" else api
        await target(scope, receive, send)

    return application


def _not_traced(scope: MutableMapping[str, Any]) -> bool:
    """Looking at something is no part of a task."""
    return bool(scope.get("method") == "GET")


def api_of(parts: Parts) -> FastAPI:
    """The API with its description at `/openapi.json` and `/docs`."""
    api = FastAPI(
        title="Waggle gateway",
        summary="Submit tasks to the swarm, follow their runs, decide what people have to decide.",
        version=version("waggle"),
        lifespan=lambda api: _lifespan(parts, api.state.stops),
        generate_unique_id_function=lambda route: route.name,
        telemetry={"operation_spans": False, "metrics": False, "logs": False, "exclude": _not_traced},
    )
    api.state.parts, api.state.stops = parts, Stops(parts.settings)
    for router in ROUTERS:
        api.include_router(router)
    answer_failures(api)
    api.add_middleware(LimitedBodies, limit_of=lambda path: _limit(parts.settings, path))
    return api


def _limit(settings: Settings, path: str) -> int:
    return settings.max_attachment_bytes if path == UPLOADS else settings.max_message_bytes


@asynccontextmanager
async def _lifespan(parts: Parts, stops: Stops) -> AsyncIterator[None]:
    await parts.broker.start()
    parts.begin(parts.sentinel.watch, stops.follow)
    watch_blackboard(parts)
    parts.started = True
    try:
        yield
    finally:
        parts.stopping = True
        await parts.broker.stop()
        await parts.close()


def main() -> None:
    """Serve until asked to stop."""
    settings = read_settings()
    run_http(application(connect("gateway", settings)), settings)
