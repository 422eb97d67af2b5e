"""The gateway: the HTTP API. It publishes tasks and commands to Kafka and shows runs from the blackboard."""

import asyncio
from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import structlog
from fastapi import Depends, FastAPI
from prometheus_client import start_http_server
from starlette.datastructures import State
from starlette.types import ASGIApp, Receive, Scope, Send

from services.gateway.access import Refusals
from services.gateway.authentication import KeyAuthentication, persons_of
from services.gateway.body_limit import BodyLimit
from services.gateway.dependencies import authorize
from services.gateway.docs_page import serve_docs
from services.gateway.errors import UNAUTHENTICATED, register_error_handlers
from services.gateway.follower_slots import FollowerSlots
from services.gateway.refused import RefusedRequests
from services.gateway.routes import ROUTERS, metrics
from services.gateway.same_origin import SameOriginOnly, hosts_of
from services.gateway.security_headers import SecurityHeaders
from services.gateway.settings import GatewaySettings
from services.gateway.shared_reads import SharedReads
from services.gateway.uploads import UploadSlots
from shared.access.principals import read_principals
from shared.archive.forgettings import Forgettings
from shared.audit import AuditStore
from shared.blackboard import Followers
from shared.blackboard.entries import index_format
from shared.blackboard.sweep import IndexSweep
from shared.config import Settings
from shared.errors import Misconfigured
from shared.memory import MemoryStore
from shared.service import Parts, connect, watch_blackboard
from shared.service.http import health_routes, run_http
from shared.service.kill_switch import KillSwitch
from shared.service.policies import read_configuration
from shared.service.warm_up import WarmUp

log = structlog.get_logger()

UPLOADS = "/v1/files"


def application(parts: Parts) -> ASGIApp:
    """Return the gateway as an ASGI application. Its lifespan starts the broker and closes all connections.

    The security headers are outside the API: its middleware does not see the answer to an unexpected error.
    """
    api = SecurityHeaders(api_of(parts))
    inside: dict[str, Any] = dict(health_routes(parts.reachable))

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        target = inside.get(scope["path"], api) if scope["type"] == "http" else api
        await target(scope, receive, send)

    return application


def _not_traced(scope: MutableMapping[str, Any]) -> bool:
    """Return true for reads, which are not part of a task."""
    return bool(scope.get("method") == "GET")


def api_of(parts: Parts) -> FastAPI:
    """Return the API, documented at `/openapi.json` and `/docs`."""
    api = FastAPI(
        title="Waggle gateway",
        summary="Submit tasks to the swarm, follow their runs, answer their questions.",
        version=version("waggle"),
        lifespan=lambda api: _lifespan(parts, api.state),
        generate_unique_id_function=lambda route: route.name,
        dependencies=[Depends(authorize)],
        responses=UNAUTHENTICATED,
        docs_url=None,
        redoc_url=None,
        telemetry={"operation_spans": False, "metrics": False, "logs": False, "exclude": _not_traced},
    )
    own = parts.own_settings(GatewaySettings)
    _add_state(api, parts, own)
    for router in (*ROUTERS, *([] if own.metrics_port else [metrics.router])):
        api.include_router(router)
    _add_a2a(api, own)
    serve_docs(api)
    register_error_handlers(api)
    _add_middleware(api, parts, own)
    return api


def _add_a2a(api: FastAPI, own: GatewaySettings) -> None:
    """Add the routes of the A2A server, if it has an address."""
    if own.a2a_url is None:
        return
    from services.gateway.a2a.routes import a2a_routes  # noqa: PLC0415 -- an extra, and slow to import
    from services.gateway.a2a.signing import read_card_key  # noqa: PLC0415 -- as above

    card_key = read_card_key(own.a2a_signing_key, own.a2a_url)
    api.router.routes.extend(a2a_routes(own.a2a_url, keys=own.principals is not None, card_key=card_key))


def require_a2a(settings: Settings, own: GatewaySettings) -> None:
    """Check that the protocol's library is installed if it is wanted, and the key usable. Raises Misconfigured."""
    if own.a2a_url is not None and find_spec("a2a") is None:
        raise Misconfigured("WAGGLE_A2A_URL: needs the extra: pip install 'waggle[a2a]'; or unset it")
    if own.a2a_url is not None:
        from services.gateway.a2a.signing import read_card_key  # noqa: PLC0415 -- as above

        read_card_key(own.a2a_signing_key, own.a2a_url)


def _add_state(api: FastAPI, parts: Parts, own: GatewaySettings) -> None:
    """Add what the dependencies of routes return."""
    most, most_by_key = own.max_followers, own.max_followers_per_key
    api.state.parts, api.state.stops = parts, KillSwitch(parts.settings)
    api.state.follower_slots = FollowerSlots(Followers(parts.sentinel), most, most_by_key)
    api.state.upload_slots = UploadSlots()
    api.state.sweep = IndexSweep(parts.sentinel)
    api.state.reads = SharedReads()
    api.state.memories = MemoryStore(parts.settings.postgres)
    api.state.forgettings = Forgettings(parts.settings.postgres)
    api.state.record = AuditStore(parts.settings.postgres)
    api.state.refused = RefusedRequests(api.state.record)
    api.state.persons = persons_of(read_principals(own.principals))


def _add_middleware(api: FastAPI, parts: Parts, own: GatewaySettings) -> None:
    """Add the middleware, from the innermost to the outermost."""
    api.add_middleware(BodyLimit, limit_of=lambda path: _limit(parts.settings, path))
    principals = read_principals(own.principals)
    refusals = Refusals(parts.metrics, api.state.refused.note)
    persons = api.state.persons
    api.add_middleware(KeyAuthentication, principals=principals, persons=persons, refusals=refusals)
    api.add_middleware(SameOriginOnly, hosts=hosts_of(own, parts.settings.http_host), refusals=refusals)
    if principals is None:
        log.warning(
            "access_unrestricted",
            action="set WAGGLE_KEYS: without keys every client that reaches the port may do everything",
        )


def _limit(settings: Settings, path: str) -> int:
    return settings.max_attachment_bytes if path == UPLOADS else settings.max_message_bytes


@asynccontextmanager
async def _lifespan(parts: Parts, state: State) -> AsyncIterator[None]:
    await parts.broker.start()
    parts.begin(parts.sentinel.watch, state.stops.follow, state.sweep.run, WarmUp(_know_index_format).run)
    parts.begin(state.refused.record_regularly)
    watch_blackboard(parts)
    stop_metrics = _serve_metrics(parts)
    parts.started = True
    try:
        yield
    finally:
        parts.stopping = True
        await state.follower_slots.followers.close()
        await state.memories.close()
        await state.forgettings.close()
        await state.record.close()
        if state.persons is not None:
            await state.persons.close()
        await asyncio.to_thread(stop_metrics)
        await parts.broker.stop()
        await parts.close()


def _know_index_format() -> None:
    index_format()


def _serve_metrics(parts: Parts) -> Callable[[], None]:
    """Serve metrics on a separate port, which callers need not reach. Return the function that stops it."""
    port = parts.own_settings(GatewaySettings).metrics_port
    if not port:
        return lambda: None
    server, _ = start_http_server(port, parts.settings.http_host, parts.registry)

    def stop() -> None:
        server.shutdown()
        server.server_close()

    return stop


def main() -> None:
    """Serve until stopped."""
    settings, own = read_configuration(GatewaySettings, require_a2a)
    run_http(application(connect("gateway", settings, own)), settings)
