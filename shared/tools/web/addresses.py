"""Addresses tools may reach: public ones, and those an operator has allowed by name."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Collection, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, TypeAlias

import httpx

from shared.tools.call import ToolError

Resolve: TypeAlias = Callable[[str, int], Awaitable[list[str]]]
"""Resolves host and port to addresses. Raises OSError if the name has none."""

PORTS = frozenset({80, 443, 8080, 8443})
"""Ports that may be dialled without being allowed by `host:port`."""

# IANA's special-purpose registries, written out because `is_global` differs between patch releases of Python.
# 168.63.129.16 is Azure's host agent: an address in public space, reachable only from inside.
_NOT_PUBLIC_V4 = tuple(
    IPv4Network(net)
    for net in [
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "168.63.129.16/32",
    ]
)
# Only 2000::/3 is allocated. That alone rejects mapped, compatible, NAT64, unique-local, link-local and multicast
# addresses; inside it lie Teredo and its neighbours (2001::/23), 6to4 (2002::/16) and documentation.
_GLOBAL_V6 = IPv6Network("2000::/3")
_NOT_PUBLIC_V6 = tuple(IPv6Network(net) for net in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"))


def is_public(address: str) -> bool:
    """Return True if an IP address may be dialled without being allowed by name."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv4Address):
        return not any(parsed in net for net in _NOT_PUBLIC_V4)
    return _is_public_v6(parsed)


def _is_public_v6(address: IPv6Address) -> bool:
    return address.scope_id is None and address in _GLOBAL_V6 and not any(address in net for net in _NOT_PUBLIC_V6)


def is_listed(url: httpx.URL, allow: Collection[str]) -> bool:
    """Return True if `allow` has the URL's host, for the usual web ports, or its `host:port`, as in the URL."""
    host = f"[{url.host}]" if ":" in url.host else url.host
    names = {name.lower() for name in allow}
    number = port(url)
    return f"{host}:{number}" in names or (host in names and number in PORTS)


def parse_url(url: str) -> httpx.URL:
    """Parse an http(s) URL with a host and without credentials. Raises ToolError `refused_address` otherwise."""
    try:
        parsed = httpx.URL(url.strip())
        host = parsed.host
    except (httpx.InvalidURL, ValueError, RecursionError) as wrong:
        raise refused(f"{url[:200]!r} is not a URL: {wrong}") from None
    if parsed.scheme not in ("http", "https") or not host:
        raise refused(f"{url[:200]!r} is not an http or https URL with a host")
    if parsed.userinfo:
        raise refused("a URL must not carry a user name or password")
    return parsed


async def resolve(host: str, port: int) -> list[str]:
    """Return the distinct addresses of a name from the system's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def port(url: httpx.URL) -> int:
    """Return the port a URL names or its scheme implies."""
    return url.port or (443 if url.scheme == "https" else 80)


def joined(url: httpx.URL, location: str) -> httpx.URL:
    """Return the target of a redirect from `url`. Raises ToolError `refused_address`."""
    try:
        return url.join(location)
    except (httpx.InvalidURL, ValueError) as wrong:
        raise refused(f"a redirect leads to an invalid URL: {wrong}") from None


def host_of(argument: str) -> Callable[[Mapping[str, Any]], str]:
    """Return the dependency function of a tool whose `argument` is a URL: its host and port.

    It raises ToolError `refused_address` for an invalid URL.
    """

    def host(arguments: Mapping[str, Any]) -> str:
        url = parse_url(str(arguments.get(argument, "")))
        return f"host:{url.host}:{port(url)}"

    return host


def refused(why: str) -> ToolError:
    """Return the error for an address that must not be dialled."""
    return ToolError(
        "refused_address",
        why,
        suggested_action="use a public http(s) address, or have the operator list the host in the allowed hosts",
    )
