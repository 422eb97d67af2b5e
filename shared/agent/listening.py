"""Messages of callers that reach an agent: those of its handoff, and those added to the run while it works."""

from collections.abc import Iterable
from typing import Any

from schemas.caller_message import CallerMessage
from shared.guardrails import named, sanitised

PERSON = "person"
"""Kind of the origin of a message by someone else than the author of the task."""


def shown_messages(messages: Iterable[CallerMessage]) -> list[dict[str, Any]]:
    """Return the messages for a prompt: an `origin` marks the words of anyone but the author of the task."""
    return [_shown(each) for each in messages]


def origins_of(messages: Iterable[CallerMessage]) -> list[str]:
    """Return the origins of the messages that are material."""
    return [named(PERSON, each.by) for each in messages if not each.own]


def words_of(messages: Iterable[CallerMessage]) -> list[str]:
    """Return the words that count as the task's own."""
    return [each.text for each in messages if each.own]


def _shown(message: CallerMessage) -> dict[str, Any]:
    about = {} if message.own else {"origin": named(PERSON, message.by)}
    at = message.at.isoformat(timespec="seconds")
    return about | {"at": at, "by": sanitised(message.by), "text": sanitised(message.text)}
