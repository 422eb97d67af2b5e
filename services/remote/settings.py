"""Settings of the process that serves one agent elsewhere."""

from pathlib import Path

from pydantic import Field

from shared.config import ServiceSettings


class RemoteSettings(ServiceSettings):
    """The file of agents elsewhere, and the one that this process serves."""

    remotes: Path | None = Field(None, description="TOML file with the agents of other systems: docs/a2a.md.")
    remote: str = Field("", description="Name in that file of the agent that this process serves.")
    guardrails: Path | None = Field(
        None, description="TOML with what the guardrails do where that differs from what is shipped."
    )
