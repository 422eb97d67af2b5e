"""The options every command shares, and the group that turns errors into exit codes."""

from typing import Annotated, Any

import typer
from pydantic import ValidationError
from typer.core import TyperGroup

from services.cli.api.client import Gateway
from services.cli.exit_codes import ConsoleError, Exit
from services.cli.gateway_url import gateway_address, gateway_key
from services.cli.terminal import Screen, one_line
from shared.config import Settings, wrong_settings
from shared.errors import Misconfigured
from shared.telemetry.redaction import shown

GatewayOption = Annotated[
    str | None,
    typer.Option("--gateway", metavar="URL", help="The gateway; else WAGGLE_GATEWAY, else what runs in this folder."),
]
TenantOption = Annotated[str, typer.Option("--tenant", metavar="NAME", help="Whose runs they are.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, and nothing else there.")]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")]


class ErrorsToExits(TyperGroup):
    """Shows a ConsoleError as one line with what to do, and leaves with its exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except ConsoleError as error:
            action = one_line(shown(error.action)) if error.action else None
            Screen().complain(one_line(shown(error.message)), action)
            raise typer.Exit(error.code) from None
        except Misconfigured as error:
            Screen().complain(one_line(shown(str(error))), "`waggle doctor` checks the other settings too")
            raise typer.Exit(Exit.USAGE) from None
        except ValidationError as error:
            if error.title == Settings.__name__:
                Screen().complain(one_line("; ".join(wrong_settings(error))))
                raise typer.Exit(Exit.USAGE) from None
            Screen().complain(
                f"the gateway's answer cannot be read as {error.title}: {one_line(error.errors()[0]['msg'])}",
                "is this address Waggle's gateway, and of the same version as this command?",
            )
            raise typer.Exit(Exit.FAILED) from None
        except KeyboardInterrupt:
            raise typer.Exit(Exit.INTERRUPTED) from None


def connect(gateway: str | None, tenant: str | None) -> Gateway:
    """A client of the gateway. Raises ConsoleError when the address is none."""
    return Gateway(gateway_address(gateway), tenant, gateway_key())
