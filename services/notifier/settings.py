"""Settings of the notifier."""

from shared.notify import NotifySettings


class NotifierSettings(NotifySettings):
    """Channels and subscriptions, their secrets, the mail server, and the address of the console."""
