"""Settings of the code agent."""

from pydantic import Field

from shared.config import ServiceSettings


class CodeSettings(ServiceSettings):
    """Sandbox of the code agent."""

    sandbox: str = Field(
        "auto",
        pattern="^(auto|bubblewrap|monty)$",
        description="Sandbox of the code agent's programs: `auto`, `bubblewrap` or `monty`.",
    )
