"""Addresses that carry a password, and how to show them without it."""

import re

_CREDENTIALS = re.compile(r"(?<=://)([^:/@]*):.*@", re.DOTALL)
"""A user, and a password up to the last @: it need not be escaped as it should be."""

_PARAMETER = re.compile(r"(?i)([?&](?:ssl)?password=)[^&#]*")


def without_password(url: str) -> str:
    """The address as it may be shown: no password, neither before the host nor among the parameters."""
    return _CREDENTIALS.sub(r"\1:***@", _PARAMETER.sub(r"\1***", url))
