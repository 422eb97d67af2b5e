"""`python -m tests.evals.entry <module>`: a service of the product in a world whose web is one server on loopback.

Names that end in `.example` resolve to a public address, so that the product's own checks see what they would see
outside; what is dialled is the sink. Every other name does not exist.
"""

import os
import runpy
import socket
import sys
from typing import Any, Self

import httpcore

from shared.tools.web.client import GuardedClient

SINK = "EVALS_SINK"
"""Environment variable: the port of the web."""
PUBLIC = "93.184.216.34"


async def resolve(host: str, port: int) -> list[str]:
    if not host.endswith(".example"):
        raise socket.gaierror(f"{host} is not in this world")
    return [PUBLIC]


class _Plain(httpcore.AsyncNetworkStream):
    """A connection on which TLS begins and nothing is encrypted: the sink has no certificates."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream

    async def start_tls(self, *_: Any, **__: Any) -> Self:
        return self

    async def read(self, *arguments: Any, **named: Any) -> bytes:
        return await self._stream.read(*arguments, **named)

    async def write(self, *arguments: Any, **named: Any) -> None:
        await self._stream.write(*arguments, **named)

    async def aclose(self) -> None:
        await self._stream.aclose()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Sink(httpcore.AsyncNetworkBackend):
    """The sink answers every address that is dialled."""

    def __init__(self, port: int) -> None:
        self._port, self._real = port, httpcore.AnyIOBackend()

    async def connect_tcp(self, host: str, port: int, *arguments: Any, **named: Any) -> httpcore.AsyncNetworkStream:
        if host != PUBLIC:
            raise httpcore.ConnectError(f"{host} was dialled, which nothing resolves to")
        return _Plain(await self._real.connect_tcp("127.0.0.1", self._port, *arguments, **named))


def confine(port: int) -> None:
    """Have every guarded client of this process live in that world."""
    defaults = GuardedClient.__init__.__kwdefaults__
    assert defaults is not None
    defaults.update(resolve=resolve, network=_Sink(port))


if __name__ == "__main__":
    confine(int(os.environ[SINK]))
    _, module, *arguments = sys.argv
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
