"""Receivers of notifications."""

from tests.support.notifying import mailbox, receiver

__all__ = ["mailbox", "receiver"]
