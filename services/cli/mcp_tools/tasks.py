"""Runs as MCP tasks, and questions as elicitations. Pure.

A task's id is the run's id, so no process has to remember it.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from schemas.api.runs import QuestionView, RunView
from schemas.event import State
from schemas.message import Part
from schemas.question import Reply
from services.cli.mcp_tools.runs import has_ended, summary
from services.cli.open_questions import questions_of
from services.cli.terminal import clean

POLL_MS = 1_000
"""Milliseconds between polls of a run at work."""

POLL_WAITING_MS = 5_000
"""Milliseconds between polls of a run that waits for a person."""

_DIGEST = 16
"""Characters of a proposal's digest in the key of a question."""

_OBJECT: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])
_BY_INBOX = "a person answers with `waggle inbox`"


class Answer(Part):
    """Answer of a person to a question, from the form they were shown."""

    answer: Reply
    message: str = ""
    arguments: str | None = None


def task_of(status: RunView, *, asks: bool) -> dict[str, Any]:
    """Return the run as a task without its result. `asks`: this client's person may answer questions."""
    open_questions = {} if has_ended(status) else outstanding(status)
    state = _state(status, asks=asks and bool(open_questions))
    shown = {"inputRequests": {key: _elicitation(each) for key, each in open_questions.items()}}
    return {
        "taskId": status.run_id,
        "status": state,
        "statusMessage": _message(status, waits=bool(open_questions) and state == "working"),
        "createdAt": status.started.isoformat(),
        "lastUpdatedAt": _updated(status),
        "ttlMs": None,
        "pollIntervalMs": POLL_WAITING_MS if open_questions else POLL_MS,
    } | (shown if state == "input_required" else {})


def outstanding(status: RunView) -> dict[str, QuestionView]:
    """Return the open questions by key. A changed proposal has another key: what was shown is what is answered."""
    return {_key(each): each for each in questions_of(status) if each.effective is None}


def decision_of(question: QuestionView, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of a decision. Raises ValueError with the reason if the content does not fit the question."""
    try:
        given = Answer.model_validate(content)
    except ValidationError as invalid:
        raise ValueError(invalid.errors()[0]["msg"]) from None
    if given.answer not in (offers := _offers(question)):
        raise ValueError(f"`{given.answer}` is not offered; there are: {', '.join(offers)}")
    body: dict[str, Any] = {
        "request_id": question.asked.request_id,
        "decision": given.answer,
        "answer": given.message,
    }
    if question.asked.proposal:
        body["digest"] = question.asked.proposal.digest
    if given.answer is Reply.EDIT:
        body["arguments"] = _object(given.arguments)
    return body


def _object(text: str | None) -> dict[str, Any]:
    try:
        return _OBJECT.validate_json(text or "")
    except ValidationError:
        raise ValueError("`arguments` must be a JSON object") from None


def _state(status: RunView, *, asks: bool) -> str:
    if not has_ended(status):
        return "input_required" if asks else "working"
    return "cancelled" if status.state is State.CANCELLED else "completed"


def _message(status: RunView, *, waits: bool) -> str:
    line = clean(summary(status))
    reason = f": {clean(status.reason)[:500]}" if status.reason and not status.waiting_for else ""
    return f"{line}{reason}" + (f"; {_BY_INBOX}" if waits else "")


def _updated(status: RunView) -> str:
    asked = max((each.asked.at for each in questions_of(status)), default=status.started)
    return (status.finished or asked).isoformat()


def _key(question: QuestionView) -> str:
    proposal = question.asked.proposal
    return question.asked.request_id + (f"#{proposal.digest[:_DIGEST]}" if proposal else "")


def _offers(question: QuestionView) -> dict[Reply, str]:
    offers = {each.answer: each.effect for each in question.asked.offers}
    return offers or {Reply.APPROVE: "", Reply.REJECT: ""}  # from an earlier version


def _elicitation(question: QuestionView) -> dict[str, Any]:
    offers = _offers(question)
    effects = "\n".join(f"{answer}: {clean(effect)}" for answer, effect in offers.items())
    fields: dict[str, Any] = {
        "answer": {"type": "string", "title": "Answer", "enum": list(offers), "description": effects},
        "message": {"type": "string", "title": "Message", "description": "To the agent; with `reject`, the reason."},
    }
    if Reply.EDIT in offers:
        about = "Of `edit`: the arguments instead, as a JSON object."
        fields["arguments"] = {"type": "string", "title": "Arguments", "description": about}
    schema = {"type": "object", "properties": fields, "required": ["answer"]}
    shown = {"mode": "form", "message": _question(question), "requestedSchema": schema}
    return {"method": "elicitation/create", "params": shown}


def _question(question: QuestionView) -> str:
    """Return the question in full, since a person must see what they permit."""
    asked, proposal = question.asked, question.asked.proposal
    lines = [asked.question]
    if proposal:
        lines += [f"Tool: {proposal.tool} (risk {proposal.risk}, {proposal.effect})"]
        lines += [f"Arguments: {proposal.arguments}", f"Reason: {proposal.reason}"]
    origins = proposal.origins if proposal else asked.background.origins if asked.background else []
    lines += [f"It has read untrusted content: {', '.join(origins)}"] if origins else []
    lines += [f"Suggested answers: {', '.join(asked.choices)}"] if asked.choices else []
    lines += [f"Expires: {asked.expires.isoformat()}"] if asked.expires else []
    return "\n".join(map(clean, lines))
