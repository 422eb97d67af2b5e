"""Output guardrails on outgoing mails with their files, webhooks and reports.

Content that would be redacted is refused instead: a mail must not differ from its author's text.
"""

from typing import Any

import structlog

from services.communication.mail import File
from services.communication.settings import CommunicationSettings
from shared.guardrails import GuardrailAction, Screening, Tripped, read_policy
from shared.tools import ToolContext, ToolError

log = structlog.get_logger()

_TEXT = ("text/", "application/json", "application/xml", "application/yaml")


def check_leaving(call: ToolContext[CommunicationSettings], files: list[File] | None = None, **material: Any) -> None:
    """Pass JSON-ready material and text files, or raise ToolError `guardrail` that names each finding and its place."""
    screening = Screening(read_policy(call.settings.guardrails), "output", call.tenant)
    for name, value in material.items():
        screening.deep(value, name)
    for file in files or []:
        if file.media_type.startswith(_TEXT):
            screening.text(file.content.decode(errors="replace"), f"file {file.name}")
    refused = [each for each in screening.tripped if each.action in (GuardrailAction.REDACT, GuardrailAction.REJECT)]
    if refused:
        raise _refusal(refused)
    for each in screening.tripped:
        log.info("guardrail_tripped", guardrail=each.kind, where=each.where, reason=each.why)


def _refusal(tripped: list[Tripped]) -> ToolError:
    said = "; ".join(str(each) for each in tripped)[:1_000]
    return ToolError("guardrail", f"this must not leave the house: {said}", suggested_action="leave it out")
