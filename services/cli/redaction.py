"""Redaction of error output: no secret of this environment reaches a terminal, a log or an MCP client."""

import os


def redacted(text: str) -> str:
    """Return the text without the secrets of this environment and without anything that looks like one."""
    # Imports pydantic, which only a failed command may wait for.
    from shared.telemetry.redaction import Redaction, secrets_in  # noqa: PLC0415

    return Redaction(secrets_in(os.environ)).text(text)
