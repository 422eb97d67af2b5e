"""What was said, on spans: only if whoever runs this wants that, and as OpenTelemetry's GenAI conventions write it.

Without what looks like a secret, whatever the guardrails' policy says: traces are read by many.
"""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.trace import Span

from shared.guardrails import redacted, secrets

CONTENTS = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
"""Environment variable: `true` puts prompts, replies, arguments and results on spans."""

MOST_CONTENT = 16_000
"""Characters of what was said in one attribute."""


def content(span: Span, name: str, what: str) -> None:
    """Put a text on a span, cut off if it is long."""
    if _wanted(span):
        span.set_attribute(name, _plain(what)[:MOST_CONTENT])


def messages(span: Span, name: str, chat: Sequence[Mapping[str, Any]]) -> None:
    """Put messages of OpenAI's form on a span. If they are long each is cut to its share, so that they stay JSON."""
    if _wanted(span) and chat:
        whole = _written(chat, MOST_CONTENT)
        fits = len(whole) <= MOST_CONTENT
        span.set_attribute(name, whole if fits else _written(chat, MOST_CONTENT // len(chat)))


def _written(chat: Sequence[Mapping[str, Any]], share: int) -> str:
    return json.dumps([{"role": each["role"], "parts": _parts(each, share)} for each in chat], ensure_ascii=False)


def _plain(text: str) -> str:
    """Without the secrets. First taken out, then cut: half a key is found by nobody."""
    return redacted(text, secrets(text))


def _wanted(span: Span) -> bool:
    return span.is_recording() and os.environ.get(CONTENTS, "").lower() == "true"


def _parts(message: Mapping[str, Any], share: int) -> list[dict[str, Any]]:
    said = _plain(str(message.get("content") or ""))[:share]
    if message["role"] == "tool":
        return [{"type": "tool_call_response", "id": message["tool_call_id"], "response": said}]
    calls = message.get("tool_calls", ())
    texts = [{"type": "text", "content": said}] if said else []
    return [*texts, *(_call(each, share // len(calls)) for each in calls)]


def _call(call: Mapping[str, Any], share: int) -> dict[str, Any]:
    function = call["function"]
    return {
        "type": "tool_call",
        "id": call["id"],
        "name": function["name"],
        "arguments": _plain(function["arguments"])[:share],
    }
