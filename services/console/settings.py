"""Settings of the web console."""

from urllib.parse import urlsplit

from pydantic import Field, field_validator

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
