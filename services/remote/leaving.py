"""Output guardrails on what is sent to an agent elsewhere. Content that would be redacted is refused instead."""

from a2a.types import Part

from services.remote.settings import RemoteSettings
from shared.guardrails import GuardrailAction, Screening, read_policy
from shared.tools import ToolContext, ToolError

_REFUSED = frozenset({GuardrailAction.REDACT, GuardrailAction.REJECT})
_TEXT = ("text/", "application/json", "application/xml", "application/yaml")

_NEVER_SENT = frozenset({"secret"})
"""Kinds of findings that no permission covers."""


def check_leaving(call: ToolContext[RemoteSettings], parts: list[Part], *, confidential: bool) -> None:
    """Pass the parts of a message, or raise ToolError `guardrail` that names each finding and its place.

    `confidential`: only secrets are refused.
    """
    screening = Screening(read_policy(call.settings.guardrails), "output", call.tenant)
    for part in parts:
        if part.text:
            screening.text(part.text, "the message")
        elif part.media_type.startswith(_TEXT):
            screening.text(part.raw.decode(errors="replace"), f"file {part.filename}")
    refused = [each for each in screening.tripped if each.action in _REFUSED]
    if confidential:
        refused = [each for each in refused if each.kind in _NEVER_SENT]
    if refused:
        found = "; ".join(map(str, refused))[:1_000]
        message = f"this must not leave the house: {found}"
        raise ToolError("guardrail", message, suggested_action="leave it out, or set `confidential` for this agent")
