"""`waggle mcp`: let MCP clients use the swarm."""

from typing import Annotated

import typer

from services.cli.api.client import Gateway
from services.cli.gateway_url import gateway_address, gateway_key
from services.cli.options import GatewayOption, TenantOption

PortOption = Annotated[
    int | None,
    typer.Option(min=1, max=65535, help="Serve http://127.0.0.1:PORT/mcp, not stdin and stdout."),
]


def mcp(gateway: GatewayOption = None, tenant: TenantOption = "default", port: PortOption = None) -> None:
    """Let an MCP client hand in tasks, follow them and read their results."""
    from services.cli.mcp_server import server  # noqa: PLC0415 -- half a second no other command shall wait

    address, key = gateway_address(gateway), gateway_key()
    made = server(lambda: Gateway(address, tenant, key))
    if port is None:
        made.run("stdio")
    else:
        made.run("streamable-http", host="127.0.0.1", port=port)
