"""Addresses: shown without the password they carry, and asked without a proxy where they are this machine's."""

import re
from collections.abc import MutableMapping

_CREDENTIALS = re.compile(r"(?<=://)([^:/@]*):.*@", re.DOTALL)
"""A user, and a password up to the last @: it need not be escaped as it should be."""

_PARAMETER = re.compile(r"(?i)([?&](?:ssl)?password=)[^&#]*")


def without_password(url: str) -> str:
    """The address as it may be shown: no password, neither before the host nor among the parameters."""
    return _CREDENTIALS.sub(r"\1:***@", _PARAMETER.sub(r"\1***", url))


LOOPBACK = ("127.0.0.1", "localhost", "::1")

_NO_PROXY = ("no_proxy", "NO_PROXY")
"""Programs look at either, or at both in this order."""


def bypass_loopback(environment: MutableMapping[str, str]) -> None:
    """Have no proxy asked for what runs on this machine: it would look for it on its own.

    Every HTTP client follows these variables, and so does whatever is started with them.
    """
    given = [each.strip() for name in _NO_PROXY for each in environment.get(name, "").split(",")]
    hosts = ",".join(dict.fromkeys([*filter(None, given), *LOOPBACK]))
    environment.update(dict.fromkeys(_NO_PROXY, hosts))
