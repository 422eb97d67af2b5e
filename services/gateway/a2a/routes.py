"""Routes of the A2A server: JSON-RPC, HTTP+JSON and the public card."""

from collections.abc import Awaitable, Callable

from a2a.server.context import ServerCallContext
from a2a.server.routes.agent_card_routes import create_agent_card_routes
from a2a.server.routes.common import DefaultServerCallContextBuilder
from a2a.server.routes.jsonrpc_routes import create_jsonrpc_routes
from a2a.server.routes.rest_routes import create_rest_routes
from a2a.types import AgentCard
from a2a.utils.constants import PROTOCOL_VERSION_1_0, VERSION_HEADER
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from services.gateway.a2a.card import PATH, public_card
from services.gateway.a2a.failures import REFUSED
from services.gateway.a2a.handler import REQUEST, RunsAsTasks
from services.gateway.a2a.signing import CardKey, Sign
from services.gateway.authentication import CARD_KEYS, CARDS

CARD_AGE = 300
"""Seconds for which clients may keep the card."""


class _Calls(DefaultServerCallContextBuilder):
    """Gives each call its HTTP request, whose caller and parts it needs."""

    def build(self, request: Request) -> ServerCallContext:
        """Return the context of a call. Without a version header it is taken by its method, of 1.0 or of 0.3."""
        context = super().build(request)
        context.state[REQUEST] = request
        context.state["headers"].setdefault(VERSION_HEADER.lower(), PROTOCOL_VERSION_1_0)
        return context


def a2a_routes(base: str, *, keys: bool, card_key: CardKey | None = None) -> list[BaseRoute]:
    """Return the routes. `base`: public address; `keys`: it requires them. `card_key` signs the card."""
    sign: Sign = card_key.sign if card_key else _unsigned
    handler, calls = RunsAsTasks(base, sign), _Calls()
    rpc = create_jsonrpc_routes(handler, PATH, calls, enable_v0_3_compat=True)
    rest = [*create_rest_routes(handler, calls, path_prefix=PATH), *_of_tenants(handler, calls)]
    card, cached = sign(public_card(base, keys=keys)), f"public, max-age={CARD_AGE}"
    cards = [_keys_of(card_key, cached)] if card_key else []
    cards += [route for path in CARDS for route in create_agent_card_routes(card, card_url=path, cache_control=cached)]
    return [*cards, *(_guarded(route) for route in (*rpc, *rest) if isinstance(route, Route))]


def _unsigned(card: AgentCard) -> AgentCard:
    return card


def _keys_of(card_key: CardKey, cached: str) -> BaseRoute:
    """Return the route of the public keys that verify the card."""

    async def endpoint(_: Request) -> Response:
        return JSONResponse(card_key.jwks, headers={"Cache-Control": cached})

    return Route(CARD_KEYS, endpoint, methods=["GET"])


def _of_tenants(handler: RunsAsTasks, calls: _Calls) -> list[BaseRoute]:
    """Return the HTTP+JSON routes with the tenant in the path."""
    return create_rest_routes(handler, calls, path_prefix=f"{PATH}/{{tenant}}")


def _guarded(route: Route) -> Route:
    """Return the route, which answers a refusal that A2A has no error for as the HTTP API does."""
    inner: Callable[[Request], Awaitable[Response]] = route.endpoint

    async def endpoint(request: Request) -> Response:
        response = await inner(request)
        if (refused := request.scope.get(REFUSED)) is not None:
            raise refused
        return response

    return Route(route.path, endpoint, methods=list(route.methods or ()), name=f"a2a:{route.path}")
