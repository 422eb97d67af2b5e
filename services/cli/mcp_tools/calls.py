"""Calls of the gateway on behalf of an MCP client: off the event loop, with errors that a client can act on."""

from collections.abc import Callable
from typing import Annotated, TypeVar

import anyio.to_thread
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

from services.cli.api.answers import NotFoundError, UnavailableError
from services.cli.api.client import Gateway
from services.cli.exit_codes import CommandError

T = TypeVar("T")

AUTHOR = "an MCP client"
"""Author of commands at a gateway without keys; with keys it is the owner of WAGGLE_KEY."""

RunId = Annotated[str, Field(description="Run id, as `submit_task` returned it.", min_length=1, max_length=200)]
Reason = Annotated[str, Field(description="Reason, which is recorded.", min_length=1, max_length=2_000)]


class UnavailableToolError(ToolError):
    """The gateway cannot be reached right now."""


class UnknownToolError(ToolError):
    """The gateway has no such object for this tenant."""


class GatewayTools:
    """Tools that call the gateway. Each call opens its own client."""

    def __init__(self, connect: Callable[[], Gateway]) -> None:
        self._connect = connect

    async def call(self, request: Callable[[Gateway], T]) -> T:
        """Return the answer to a request. Raises ToolError, with the remedy."""

        def send() -> T:
            with self._connect() as gateway:
                return request(gateway)

        try:
            return await anyio.to_thread.run_sync(send)
        except UnavailableError as outage:
            raise UnavailableToolError(_sentence(outage)) from None
        except NotFoundError as unknown:
            raise UnknownToolError(unknown.message) from None
        except CommandError as error:
            raise ToolError(_sentence(error)) from None


def _sentence(error: CommandError) -> str:
    return f"{error.message}; {error.action}" if error.action else error.message
