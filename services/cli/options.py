"""The options that commands share, and the client they make of them."""

from typing import Annotated

import typer

from services.cli.api.client import Gateway
from services.cli.gateway_url import gateway_address, gateway_key

GatewayOption = Annotated[
    str | None,
    typer.Option("--gateway", metavar="URL", help="The gateway; else WAGGLE_GATEWAY, else what runs in this folder."),
]
TenantOption = Annotated[str, typer.Option("--tenant", metavar="NAME", help="Whose runs they are.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, and nothing else there.")]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")]


def connect(gateway: str | None, tenant: str | None) -> Gateway:
    """A client of the gateway. Raises ConsoleError when the address is none."""
    return Gateway(gateway_address(gateway), tenant, gateway_key())
