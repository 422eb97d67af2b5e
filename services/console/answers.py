"""Answers in forms: what a visitor chose, checked before it is sent to the gateway."""

import json
from collections.abc import Mapping
from typing import Any

from schemas.error import ErrorInfo
from schemas.question import Reply

_WRONG = "invalid_arguments"


class Refusal(Exception):
    """An answer that says too little or cannot be read; nothing was sent."""

    def __init__(self, message: str, action: str, code: str = "missing_field") -> None:
        super().__init__(message)
        self.error = ErrorInfo(code=code, message=message, suggested_action=action)


def answer_in(form: Mapping[str, str], request_id: str) -> dict[str, Any]:
    """Return the body of the request to decide. Raises Refusal."""
    chosen = form.get("decision", "")
    if chosen not in set(Reply):
        raise Refusal("Nothing was decided.", "Use one of the buttons.")
    reply, message = Reply(chosen), message_in(form)
    if reply is Reply.REJECT and not message:
        raise Refusal(
            "A rejection needs a reason: the planner gets it.", "Write the reason in the message and reject again."
        )
    if reply is Reply.RESPOND and not message:
        raise Refusal("An answer needs words.", "Choose an answer or write a message.")
    body: dict[str, Any] = {"request_id": request_id, "decision": reply.value, "answer": message}
    if reply is Reply.EDIT:
        body["arguments"] = _arguments(form.get("arguments", ""))
    return body | {name: form[name] for name in ("digest", "by") if form.get(name)}


def message_in(form: Mapping[str, str]) -> str:
    """Return the chosen option and the message as one text for the agent."""
    return "\n".join(each for each in (form.get("option", ""), form.get("message", "")) if each)


def _arguments(text: str) -> dict[str, Any]:
    """Return the edited arguments. Raises Refusal for a text that is no JSON object, with the place of the fault."""
    try:
        read = json.loads(text)
    except ValueError as wrong:
        message = f"The arguments are not valid JSON: {wrong}"
        raise Refusal(message, "Correct them and send the answer again.", _WRONG) from None
    except RecursionError:
        message = "The arguments are nested too deeply."
        raise Refusal(message, "Correct them and send the answer again.", _WRONG) from None
    if not isinstance(read, dict):
        raise Refusal("The arguments are not a JSON object.", 'Write them as {"name": value, …}.', _WRONG)
    return read
