"""Which addresses tools may reach: what is public, what was allowed by name, what is a URL at all."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Collection, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, TypeAlias

import httpx

from shared.tools.call import ToolError

Resolve: TypeAlias = Callable[[str, int], Awaitable[list[str]]]
"""From host and port to addresses. Raises OSError when the name has none."""

PORTS = frozenset({80, 443, 8080, 8443})
"""Ports that may be dialled without having been allowed by `host:port`."""

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
# Only 2000::/3 is handed out. That alone refuses mapped, compatible, NAT64, unique-local, link-local and multicast
# addresses; inside it lie Teredo and its neighbours (2001::/23), 6to4 (2002::/16) and documentation.
_GLOBAL_V6 = IPv6Network("2000::/3")
_NOT_PUBLIC_V6 = tuple(IPv6Network(net) for net in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"))


def is_public(address: str) -> bool:
    """Whether an IP address may be dialled without having been allowed by name."""
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
    """Whether `allow` has the URL's host (good for the usual web ports) or its `host:port`, as the URL writes them."""
    host = f"[{url.host}]" if ":" in url.host else url.host
    names = {name.lower() for name in allow}
    number = port(url)
    return f"{host}:{number}" in names or (host in names and number in PORTS)


def parse_url(url: str) -> httpx.URL:
    """The URL, if it is an http(s) one with a host and without credentials. Raises ToolError `refused_address`."""
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
    """The addresses the system's resolver has for a name, without repetition."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def port(url: httpx.URL) -> int:
    """The port a URL names or its scheme implies."""
    return url.port or (443 if url.scheme == "https" else 80)


def joined(url: httpx.URL, location: str) -> httpx.URL:
    """Where a redirect from `url` leads. Raises ToolError `refused_address`."""
    try:
        return url.join(location)
    except (httpx.InvalidURL, ValueError) as wrong:
        raise refused(f"a redirect leads to what is not a URL: {wrong}") from None


def host_of(argument: str) -> Callable[[Mapping[str, Any]], str]:
    """What a tool stands on that is given a URL by this argument: its host and port.

    Raises ToolError `refused_address` for what is no URL.
    """

    def host(arguments: Mapping[str, Any]) -> str:
        url = parse_url(str(arguments.get(argument, "")))
        return f"host:{url.host}:{port(url)}"

    return host


def refused(why: str) -> ToolError:
    """The error for an address that is not dialled."""
    return ToolError(
        "refused_address",
        why,
        suggested_action="use a public http(s) address, or have the operator list the host in the allowed hosts",
    )
