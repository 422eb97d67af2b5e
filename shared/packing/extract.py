"""Calls and results in the messages of turns, in short, without a model."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from shared.packing.condense import first_sentence
from shared.packing.shorten import Message

LONGEST_ARGUMENTS = 100
LONGEST_SENTENCE = 160
"""Characters of a call's arguments, and of a sentence."""


class MadeCall(NamedTuple):
    """A tool call with its answer."""

    tool: str
    arguments: str
    answer: str

    @property
    def outcome(self) -> str:
        """The outcome in a word or two."""
        data = _parsed(self.answer)
        if isinstance(error := data.get("error"), dict):
            return f"failed ({error.get('code') or 'error'})"
        return "planned only" if data.get("dry_run") else "answered"

    @property
    def origin(self) -> str | None:
        """The origin of the answer's material, if it has one."""
        origin = _parsed(self.answer).get("origin")
        return origin if isinstance(origin, str) else None

    @property
    def line(self) -> str:
        """The call and its outcome on one line."""
        arguments = " ".join(self.arguments[: LONGEST_ARGUMENTS + 1].split())
        cut = arguments if len(self.arguments) <= LONGEST_ARGUMENTS else f"{arguments[: LONGEST_ARGUMENTS - 1]}…"
        return f"{self.tool[:64]} {cut}: {self.outcome}"

    @property
    def gist(self) -> str:
        """The first sentence of the answer, with the tool and the origin."""
        data = _parsed(self.answer)
        content = data.get("result", data.get("error", data or self.answer))
        text = next(_texts(content), "") or json.dumps(content, ensure_ascii=False)
        return f"{self.origin or self.tool[:64]}: {first_sentence(text, LONGEST_SENTENCE)}"


def calls_in(messages: Iterable[Message]) -> Iterator[MadeCall]:
    """Yield the calls in these messages with their answers, in order. Ids are unique within a turn, not beyond it."""
    asked: dict[str, dict[str, Any]] = {}
    for message in messages:
        if message["role"] == "assistant":
            asked = {call["id"]: call["function"] for call in message.get("tool_calls") or ()}
        elif message["role"] == "tool" and (function := asked.get(message["tool_call_id"])) is not None:
            yield MadeCall(function["name"], function["arguments"], message["content"])


def said_in(messages: Iterable[Message]) -> Iterator[str]:
    """Yield the first sentence of each text of the model."""
    for message in messages:
        if message["role"] == "assistant" and (text := (message.get("content") or "").strip()):
            yield f"the agent: {first_sentence(text, LONGEST_SENTENCE)}"


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts of JSON data, those with several words first."""
    found = list(_strings(value))
    yield from sorted(found, key=lambda text: " " not in text)


def _strings(value: Any) -> Iterator[str]:
    match value:
        case str() if value.strip():
            yield value
        case dict() | list():
            for each in value.values() if isinstance(value, dict) else value:
                yield from _strings(each)


def _parsed(text: str) -> dict[str, Any]:
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}
