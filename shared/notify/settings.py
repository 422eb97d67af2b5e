"""Settings of notifications, for the notifier and for the command that tests a channel."""

from pathlib import Path

from pydantic import Field

from shared.config import ServiceSettings
from shared.config.environment import Secrets


class NotifySettings(ServiceSettings):
    """The file of channels and subscriptions, the channels' secrets, and the mail server."""

    notify: Path | None = Field(
        None, description="TOML file with the channels and subscriptions of people: docs/notifications.md."
    )
    notify_secrets: Secrets = Field(
        default_factory=dict, repr=False, description="Secrets that this file names: `name=secret`."
    )
    smtp: str | None = Field(
        None, repr=False, description="`smtp://[user:password@]host:port` (or `smtps://`) mail goes out by."
    )
    mail_from: str = Field("waggle@localhost", description="Sender of the mail the swarm sends.")
    console_url: str | None = Field(
        None,
        description="Address at which browsers reach the console, such as `https://waggle.example.org`. Its host is "
        "accepted besides loopback; with `https:` the cookie is sent over TLS only. Notifications link to it.",
    )
