"""Message contents on spans, in the form of OpenTelemetry's GenAI conventions; opt-in by environment variable.

Anything that looks like a secret is redacted, regardless of the guardrails' policy: traces have many readers.
"""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.trace import Span

from shared.telemetry import conventions as c

CONTENTS = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
"""Environment variable: `true` puts prompts, replies, arguments and results on spans."""

OPT_IN, LATEST = "OTEL_SEMCONV_STABILITY_OPT_IN", "gen_ai_latest_experimental"
"""Environment variable with a comma-separated list, and the value in it that asks for the latest GenAI conventions."""

MOST_CONTENT = 16_000
"""Characters of content in one attribute."""


def latest() -> bool:
    """Return True if spans are to follow the latest GenAI conventions, beyond what is there by default."""
    return LATEST in (each.strip() for each in os.environ.get(OPT_IN, "").split(","))


def set_prompt(span: Span, chat: Sequence[Mapping[str, Any]]) -> None:
    """Set the messages to a model; by the latest conventions the system's apart from the others."""
    apart = latest()
    system = [each for each in chat if apart and each["role"] == "system"]
    set_messages(span, c.GEN_AI_INPUT_MESSAGES, [each for each in chat if each not in system])
    if _captured(span) and system:
        share = MOST_CONTENT // len(system)
        parts = [part for each in system for part in _parts(each, share)]
        span.set_attribute(c.GEN_AI_SYSTEM_INSTRUCTIONS, json.dumps(parts, ensure_ascii=False))


def set_content(span: Span, name: str, text: str) -> None:
    """Set a text as an attribute, truncated if it is long."""
    if _captured(span):
        span.set_attribute(name, _redacted(text)[:MOST_CONTENT])


def set_messages(span: Span, name: str, chat: Sequence[Mapping[str, Any]]) -> None:
    """Set messages in OpenAI's form as an attribute. Long ones are each truncated to an equal share, to stay JSON."""
    if _captured(span) and chat:
        whole = _serialised(chat, MOST_CONTENT)
        fits = len(whole) <= MOST_CONTENT
        span.set_attribute(name, whole if fits else _serialised(chat, MOST_CONTENT // len(chat)))


def _serialised(chat: Sequence[Mapping[str, Any]], share: int) -> str:
    return json.dumps([_message(each, share) for each in chat], ensure_ascii=False)


def _message(message: Mapping[str, Any], share: int) -> dict[str, Any]:
    ended = {"finish_reason": message["finish_reason"]} if "finish_reason" in message else {}
    return {"role": message["role"], "parts": _parts(message, share)} | ended


def _redacted(text: str) -> str:
    """Redact before truncating: no pattern recognises half a key."""
    from shared.guardrails import redacted, secrets  # noqa: PLC0415 -- large, and needed only where contents are wanted

    return redacted(text, secrets(text))


def _captured(span: Span) -> bool:
    return span.is_recording() and os.environ.get(CONTENTS, "").lower() == "true"


def _parts(message: Mapping[str, Any], share: int) -> list[dict[str, Any]]:
    text = _redacted(str(message.get("content") or ""))[:share]
    if message["role"] == "tool":
        return [{"type": "tool_call_response", "id": message["tool_call_id"], "response": text}]
    calls = message.get("tool_calls", ())
    texts = [{"type": "text", "content": text}] if text else []
    return [*texts, *(_call(each, share // len(calls)) for each in calls)]


def _call(call: Mapping[str, Any], share: int) -> dict[str, Any]:
    function = call["function"]
    return {
        "type": "tool_call",
        "id": call["id"],
        "name": function["name"],
        "arguments": _redacted(function["arguments"])[:share],
    }
