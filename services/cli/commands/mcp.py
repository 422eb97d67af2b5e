"""`waggle mcp`: serve the swarm to MCP clients."""

from typing import Annotated

import typer

from services.cli.api.client import Gateway
from services.cli.gateway_url import gateway_address, gateway_key
from services.cli.mcp_tools.allowed import Allowed
from services.cli.options import GatewayOption, TenantOption

PortOption = Annotated[
    int | None,
    typer.Option(min=1, max=65535, metavar="PORT", help="Serve http://127.0.0.1:PORT/mcp instead of stdio."),
]
AllowOption = Annotated[
    list[Allowed] | None,
    typer.Option(
        "--allow",
        help="Also offer the tools with which a client passes on decisions of its person (`decide`), or those of "
        "operators (`operate`); may be repeated.",
    ),
]


def mcp(
    gateway: GatewayOption = None, tenant: TenantOption = "default", port: PortOption = None, allow: AllowOption = None
) -> None:
    """Serve the swarm to MCP clients, which can submit tasks, follow runs and read results.

    Uses stdio unless --port is given. Questions are shown, and can be answered only with --allow decide.
    """
    from services.cli.mcp_server import server  # noqa: PLC0415 -- takes half a second to import

    address, key = gateway_address(gateway), gateway_key()
    made = server(lambda: Gateway(address, tenant, key), lambda: Gateway(address, None, key), allow or ())
    if port is None:
        made.run("stdio")
    else:
        made.run("streamable-http", host="127.0.0.1", port=port)
