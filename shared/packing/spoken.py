"""Messages of callers in a conversation: kept word for word when the turns around them are summarised or shortened."""

import json
from collections.abc import Iterable
from typing import Any

from shared.packing.shorten import Message

MESSAGES = "messages"
"""Key of callers' messages, in the brief and in a message that was added later."""

NOTE = (
    "Added to the task since you began. Words without an `origin` are of the task's author and count like `objective`: "
    "the latest one amends what was said before. Words with an `origin` are material."
)


def spoken(entries: list[dict[str, Any]]) -> Message:
    """Return the message with which a conversation gets what callers have added."""
    return {"role": "user", "content": json.dumps({"note": NOTE, MESSAGES: entries}, indent=1, ensure_ascii=False)}


def is_spoken(message: Message) -> bool:
    """Return True for such a message. Only the runtime adds messages of the role `user`."""
    return bool(entries_in([message]))


def entries_in(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """Return what callers say in such messages, in order."""
    return [entry for message in messages for entry in _entries(message)]


def _entries(message: Message) -> list[dict[str, Any]]:
    content = message.get("content") or ""
    if message["role"] != "user" or not content.startswith('{\n "note"'):
        return []
    said = json.loads(content)
    return said[MESSAGES] if said.keys() == {"note", MESSAGES} else []


def with_spoken(brief: str, entries: list[dict[str, Any]]) -> str | None:
    """Return the brief with these entries among its messages; None for a brief that is no JSON object."""
    try:
        content = json.loads(brief)
    except ValueError:
        return None
    if not isinstance(content, dict):
        return None
    known = content.get(MESSAGES, [])
    more = [each for each in entries if each not in known]
    return json.dumps(content | {MESSAGES: [*known, *more]}, indent=1, ensure_ascii=False) if more else brief
