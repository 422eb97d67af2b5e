"""`waggle mcp`: let MCP clients use the swarm."""

from typing import Annotated

import typer

from services.console.client import Gateway
from services.console.options import GatewayOption, TenantOption
from services.console.where import gateway_address, gateway_key

PortOption = Annotated[
    int | None,
    typer.Option(min=1, max=65535, help="Serve http://127.0.0.1:PORT/mcp, not stdin and stdout."),
]


def mcp(gateway: GatewayOption = None, tenant: TenantOption = "default", port: PortOption = None) -> None:
    """Let an MCP client hand in tasks, follow them and read their results."""
    from services.console.tools import server  # noqa: PLC0415 -- half a second no other command shall wait

    address, key = gateway_address(gateway), gateway_key()
    made = server(lambda: Gateway(address, tenant, key))
    if port is None:
        made.run("stdio")
    else:
        made.run("streamable-http", host="127.0.0.1", port=port)
