"""Addresses: shown without their password, and reached without a proxy on this machine."""

import re
from collections.abc import MutableMapping
from ipaddress import ip_address

_CREDENTIALS = re.compile(r"(?<=://)([^:/@]*):.*@", re.DOTALL)
"""User, and password up to the last @, as it may not be escaped."""

_PARAMETER = re.compile(r"(?i)([?&](?:ssl)?password=)[^&#]*")


def without_password(url: str) -> str:
    """Return the address without a password, neither before the host nor among the parameters."""
    return _CREDENTIALS.sub(r"\1:***@", _PARAMETER.sub(r"\1***", url))


LOOPBACK = ("127.0.0.1", "localhost", "::1")


def is_loopback(host: str) -> bool:
    """Return true if the host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


_NO_PROXY = ("no_proxy", "NO_PROXY")
"""Programs read either, or both in this order."""


def bypass_loopback(environment: MutableMapping[str, str]) -> None:
    """Exclude this machine from proxies: a proxy would look for it on its own machine.

    All HTTP clients follow these variables, in child processes too.
    """
    given = [each.strip() for name in _NO_PROXY for each in environment.get(name, "").split(",")]
    hosts = ",".join(dict.fromkeys([*filter(None, given), *LOOPBACK]))
    environment.update(dict.fromkeys(_NO_PROXY, hosts))
