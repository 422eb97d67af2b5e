"""Settings of the communication agent."""

from pathlib import Path

from pydantic import Field

from shared.config import Names, ServiceSettings


class CommunicationSettings(ServiceSettings):
    """Ways out of the system, and the policy for what leaves by them."""

    webhook_allow: Names = Field((), description="Hosts the communication agent may post to.")
    smtp: str | None = Field(
        None, repr=False, description="`smtp://[user:password@]host:port` (or `smtps://`) mail goes out by."
    )
    mail_from: str = Field("waggle@localhost", description="Sender of the mail the swarm sends.")
    guardrails: Path | None = Field(
        None, description="TOML with what the guardrails do where that differs from what is shipped."
    )
