"""Settings of the web console."""

from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from shared.access.principals import checked_issuer
from shared.config import ServiceSettings


class ConsoleSettings(ServiceSettings):
    """Addresses of the gateway and of the console, and the length of its sessions."""

    gateway: str = Field(
        "http://127.0.0.1:8080", description="Address of the gateway, for the command line and the console."
    )
    console_url: str | None = Field(
        None,
        description="Address at which browsers reach the console, such as `https://waggle.example.org`. Its host is "
        "accepted besides loopback; with `https:` the cookie is sent over TLS only. Notifications link to it.",
    )
    console_session: float = Field(
        28_800.0, ge=60, le=604_800, description="Seconds after a login until the console asks for the key again."
    )

    oidc_issuer: str | None = Field(
        None,
        description="OpenID Connect issuer that people log in with, as in the table `oidc` of WAGGLE_KEYS: "
        "docs/access.md. It needs WAGGLE_OIDC_CLIENT and WAGGLE_CONSOLE_URL. Unset, people log in with keys alone.",
    )
    oidc_client: str | None = Field(None, description="Client id of the console at the issuer.")
    oidc_secret: SecretStr | None = Field(None, description="Client secret; unset for a client without one.")
    oidc_scopes: str = Field("openid email profile", description="Scopes that the console asks the issuer for.")

    @field_validator("oidc_issuer")
    @classmethod
    def _is_an_issuer(cls, value: str | None) -> str | None:
        return value and checked_issuer(value)

    @model_validator(mode="after")
    def _has_what_a_login_needs(self) -> Self:
        if self.oidc_issuer and not (self.oidc_client and self.console_url):
            raise ValueError("WAGGLE_OIDC_ISSUER needs WAGGLE_OIDC_CLIENT and WAGGLE_CONSOLE_URL")
        return self

    @field_validator("console_url")
    @classmethod
    def _has_a_host(cls, value: str | None) -> str | None:
        if value is not None and (urlsplit(value).scheme not in {"http", "https"} or not urlsplit(value).hostname):
            raise ValueError("it is no address such as https://waggle.example.org")
        return value

    @property
    def host(self) -> str | None:
        """Host name of that address, in lower case."""
        return urlsplit(self.console_url).hostname if self.console_url else None

    @property
    def secure(self) -> bool:
        """True if browsers reach the console over TLS."""
        return bool(self.console_url) and urlsplit(self.console_url).scheme == "https"
