"""Requests to a gateway, and its answers as models."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from services.cli.api.answers import M, UnreachableError, failure_of, read
from services.cli.exit_codes import CommandError

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class Transport:
    """A connection to a gateway, as one tenant."""

    def __init__(self, address: str, tenant: str | None, key: str | None = None) -> None:
        self.address = address
        self.tenant = tenant
        parts = urlsplit(address)
        self._http = httpx.Client(
            base_url=address,
            params={"tenant": tenant} if tenant else {},
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx.Timeout(30.0, connect=5.0),
            trust_env=parts.hostname not in _LOOPBACK,
            verify=parts.scheme == "https",  # http needs no certificates, which are slow to load
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._http.close()

    def _one(self, kind: type[M], method: str, path: str, **request: Any) -> M:
        return read(kind, self._json(method, path, **request))

    def _many(self, kind: type[M], method: str, path: str, **request: Any) -> list[M]:
        found = self._json(method, path, **request)
        return [read(kind, each) for each in (found if isinstance(found, list) else [found])]

    def _json(self, method: str, path: str, **request: Any) -> Any:
        with self._open(method, path, **request) as response:
            response.read()
            try:
                return response.json()
            except ValueError:
                raise CommandError(
                    f"the answer of {self.address} to {method} {path} is not JSON",
                    "check that the address is that of a Waggle gateway",
                ) from None

    @contextmanager
    def _open(self, method: str, path: str, **request: Any) -> Iterator[httpx.Response]:
        try:
            with self._http.stream(method, path, **request) as response:
                if response.is_success:
                    yield response
                    return
                response.read()
                raise failure_of(response)
        except httpx.RequestError as gone:
            asked = not isinstance(gone, httpx.ConnectError | httpx.ConnectTimeout)
            raise UnreachableError(self.address, str(gone) or type(gone).__name__, asked=asked) from None
