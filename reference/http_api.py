"""docs/http-api.md: every route of the gateway with the roles it needs, from the routers and the table of access."""

from collections.abc import Iterator
from pathlib import Path

from fastapi.routing import APIRoute

from reference.blocks import table
from services.gateway.access import NEEDS
from services.gateway.routes import ROUTERS, metrics

PAGE = Path("docs/http-api.md")
_HEAD = """\
# HTTP API

The gateway's routes. `/docs` and `/openapi.json` at its address describe parameters and bodies. Errors are
`{"error": {code, message, retryable, suggested_action}}`: [error codes](errors.md). With keys, a route needs one of the
roles in the table, or one that [includes it](access.md#keys); *all tenants* needs a key for `tenants = ["*"]`.

"""
_TAIL = """
Besides these, `/live` and `/ready` answer without a key: [operate](operate.md#health-and-metrics).
"""


def pages() -> dict[Path, str]:
    """The page by its path."""
    return {PAGE: _HEAD + table(("route", "role", "does"), _rows()) + _TAIL}


def _rows() -> Iterator[tuple[str, str, str]]:
    for router in (*ROUTERS, metrics.router):
        for route in router.routes:
            if isinstance(route, APIRoute) and not route.deprecated:
                for method in sorted(route.methods or ()):
                    yield f"`{method} {route.path}`", _roles(route.name), route.summary or ""


def _roles(name: str) -> str:
    needs = NEEDS[name]
    roles = " or ".join(f"`{role}`" for role in sorted(needs.roles))
    return f"{roles}, all tenants" if needs.everywhere else roles
