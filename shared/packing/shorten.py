"""Shortened forms of messages: begin and end of a long text, with a note of what is left out and how to get it."""

import json
from typing import Any

Message = dict[str, Any]

SHORTEST = 200
"""Characters that every text keeps."""

_AGAIN = "call the tool again for less at a time if you need what is left out"
_OWN = "left out to save room; it was sent whole before"


def length_of(message: Message) -> int:
    """Return the characters of the longest text in a message."""
    calls = [call["function"]["arguments"] for call in message.get("tool_calls") or ()]
    return max(map(len, [message.get("content") or "", *calls]))


def shortened(message: Message, longest: int) -> Message:
    """Return the message with no text much longer than `longest` characters; its structure stays valid."""
    if length_of(message) <= longest:
        return message
    content = message.get("content") or ""
    short = dict(message)
    if len(content) > longest:
        short["content"] = _result(content, longest) if message["role"] == "tool" else _text(content, longest)
    if calls := message.get("tool_calls"):
        short["tool_calls"] = [_call(each, longest) for each in calls]
    return short


def _result(content: str, longest: int) -> str:
    """Return a tool's answer with its origin, and the rest as text."""
    answer = _parsed(content)
    about = {"origin": answer["origin"]} if isinstance(answer.get("origin"), str) else {}
    text = content if set(answer) != {"origin", "result"} else json.dumps(answer["result"], ensure_ascii=False)
    begin, end = _ends(text, longest)
    cut = {"begin": begin, "left_out": f"{len(text) - len(begin) - len(end)} of {len(text)} characters", "end": end}
    return json.dumps(about | {"shortened": cut, "note": _AGAIN}, ensure_ascii=False)


def _call(call: dict[str, Any], longest: int) -> dict[str, Any]:
    function = call["function"]
    arguments = function["arguments"]
    if len(arguments) <= longest:
        return call
    given = _parsed(arguments)
    room = max(SHORTEST // 2, longest // max(1, len(given)))
    short = json.dumps({name: _argument(value, room) for name, value in given.items()}, ensure_ascii=False)
    if not given or len(short) > 2 * longest + SHORTEST:
        short = json.dumps({"shortened": _text(arguments, longest)}, ensure_ascii=False)
    return call | {"function": function | {"arguments": short}}


def _argument(value: Any, longest: int) -> Any:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return value if len(text) <= longest else _text(text, longest)


def _text(text: str, longest: int) -> str:
    begin, end = _ends(text, longest)
    return f"{begin} […{len(text) - len(begin) - len(end)} characters {_OWN}…] {end}"


def _ends(text: str, longest: int) -> tuple[str, str]:
    end = longest // 4
    return text[: longest - end], text[-end:] if end else ""


def _parsed(text: str) -> dict[str, Any]:
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}
