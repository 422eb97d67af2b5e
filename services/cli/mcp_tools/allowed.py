"""Permissions of an MCP client."""

from enum import StrEnum


class Allowed(StrEnum):
    """Tools that a client is offered only with permission."""

    DECIDE = "decide"
    OPERATE = "operate"
