"""Telling people: channels and subscriptions of the file WAGGLE_NOTIFY, and the ways a notification leaves."""

from shared.notify.letter import Letter, digest_of, letter_of
from shared.notify.policy import Channel, Fact, NotifyPolicy, Subscription, read_notify
from shared.notify.settings import NotifySettings
from shared.notify.ways import NotSent, Way, send, way_of

__all__ = [
    "Channel",
    "Fact",
    "Letter",
    "NotSent",
    "NotifyPolicy",
    "NotifySettings",
    "Subscription",
    "Way",
    "digest_of",
    "letter_of",
    "read_notify",
    "send",
    "way_of",
]
