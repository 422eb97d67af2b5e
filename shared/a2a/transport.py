"""HTTP for one remote agent: reaches its hosts only, at checked addresses, and reads bounded answers."""

import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager

import httpcore
import httpx

from shared.a2a.declare import Remote, place_of
from shared.tools import ToolError
from shared.tools.web.addresses import resolve
from shared.tools.web.client import CheckedNetwork

_MAPPED: tuple[tuple[type[Exception], type[httpx.TransportError]], ...] = (
    (httpcore.ConnectTimeout, httpx.ConnectTimeout),
    (httpcore.PoolTimeout, httpx.PoolTimeout),
    (httpcore.ConnectError, httpx.ConnectError),
    (httpcore.TimeoutException, httpx.ReadTimeout),
    (httpcore.NetworkError, httpx.ReadError),
    (httpcore.ProtocolError, httpx.RemoteProtocolError),
)
"""The first that fits counts: errors before anything was sent come first."""

NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
"""Errors that mean the remote agent has received nothing."""

MOST_CONNECTIONS = 32


class TooLarge(httpx.ReadError):
    """The response is larger than the configuration allows."""


class GuardedTransport(httpx.AsyncBaseTransport):
    """Transport of one remote agent. Any other host, and any non-public address unless allowed, is a ConnectError."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._allowed = remote.allowed
        network = CheckedNetwork(resolve, httpcore.AnyIOBackend(), listed=remote.private)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=_tls(remote),
            network_backend=network,
            max_connections=MOST_CONNECTIONS,
            max_keepalive_connections=4,
            keepalive_expiry=5.0,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request, unless it leads elsewhere."""
        self._check(request)
        url = request.url
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        assert isinstance(request.stream, httpx.AsyncByteStream), "the client is asynchronous"
        sent = httpcore.Request(
            request.method, target, headers=request.headers.raw, content=request.stream, extensions=request.extensions
        )
        with _mapped(request):
            answer = await self._pool.handle_async_request(sent)
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=_Bounded(answer, request, self._remote.largest),
            extensions=answer.extensions,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._pool.aclose()

    def _check(self, request: httpx.Request) -> None:
        """Raise ConnectError for an address that must not be reached. Only endpoints get the credential."""
        url = request.url
        place = place_of(str(url))
        if place not in self._remote.endpoints:
            request.headers.pop(self._remote.header, None)
        if place not in self._allowed:
            raise httpx.ConnectError(f"{place} is no host of this agent: list it in `hosts` if it is")
        if url.scheme != "https" and not self._remote.private:
            raise httpx.ConnectError(f"{place} is not reached by https")


class _Bounded(httpx.AsyncByteStream):
    """Body of a response, up to a number of bytes as they arrive: compression cannot enlarge it, none is accepted."""

    def __init__(self, response: httpcore.Response, request: httpx.Request, largest: int) -> None:
        self._response = response
        self._request = request
        self._left = largest

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _mapped(self._request):
            async for chunk in self._response.aiter_stream():
                self._left -= len(chunk)
                if self._left < 0:
                    raise TooLarge("the response is larger than `largest` allows", request=self._request)
                yield chunk

    async def aclose(self) -> None:
        await self._response.aclose()


def client_of(remote: Remote, headers: Mapping[str, str]) -> httpx.AsyncClient:
    """Return the client of one remote agent. `headers`: its credential. Redirects are not followed."""
    return httpx.AsyncClient(
        transport=GuardedTransport(remote),
        headers={**headers, "Accept-Encoding": "identity", "User-Agent": "waggle/0.1"},
        timeout=httpx.Timeout(remote.request_timeout, connect=min(10.0, remote.request_timeout)),
        trust_env=False,
        follow_redirects=False,
    )


def _tls(remote: Remote) -> ssl.SSLContext:
    context: ssl.SSLContext = httpx.create_ssl_context(trust_env=False)
    if remote.ca is not None:
        context.load_verify_locations(remote.ca)
    return context


@contextmanager
def _mapped(request: httpx.Request) -> Iterator[None]:
    """Turn errors of the connection into those of httpx, which the protocol's library expects."""
    try:
        yield
    except ToolError as refused:
        raise httpx.ConnectError(str(refused), request=request) from refused
    except tuple(kind for kind, _ in _MAPPED) as broken:
        kind = next(mapped for each, mapped in _MAPPED if isinstance(broken, each))
        raise kind(str(broken) or type(broken).__name__, request=request) from broken
