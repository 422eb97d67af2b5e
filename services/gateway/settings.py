"""Settings of the gateway."""

from pathlib import Path

from pydantic import Field, SecretStr, field_validator

from shared.access.settings import AccessSettings
from shared.config import Names, signing_seed


class GatewaySettings(AccessSettings):
    """Callers of the gateway: their keys, the names they may use for it, and the limits they share."""

    signing_key: SecretStr | None = Field(
        None,
        description="Key from `waggle keys gateway`, with which the gateway signs decisions; its secret alone.",
    )
    allowed_hosts: Names = Field(
        (),
        description="Host names by which the gateway may be addressed, besides loopback and the address a request "
        "arrives at; `*`: any. Unset, a gateway that requires keys accepts any.",
    )
    metrics_port: int = Field(
        0, ge=0, le=65535, description="Port for the gateway's /metrics, apart from its callers; 0: the HTTP port."
    )
    max_followers: int = Field(2_000, ge=1, description="Runs that one gateway lets be followed at once.")
    max_followers_per_key: int = Field(500, ge=1, description="Runs that one key may follow at once, of each gateway.")

    a2a_url: str | None = Field(
        None,
        pattern=r"^https?://[^\s/?#]+$",
        description="Public address of this gateway, such as `https://waggle.example.org`, under which it serves the "
        "A2A protocol and its agent card; unset: it serves neither. Needs the extra `a2a`.",
    )

    a2a_signing_key: Path | None = Field(
        None,
        description="PEM file with the private key, P-256 or Ed25519, that signs the agent card; unset: nothing does.",
    )

    @field_validator("signing_key")
    @classmethod
    def _signs(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None:
            signing_seed(key.get_secret_value())
        return key
