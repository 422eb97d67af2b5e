"""Dead letters for the console's pages: every field that is shown holds the same text."""

from datetime import UTC, datetime

from schemas.dead import DeadLetterHandled, FieldEdit

NAME = "tasks.dlt/0/17"
NOW = datetime.now(UTC)


def summary_fields(text: str) -> dict:
    return {
        "name": NAME,
        "topic": text,
        "at": NOW,
        "error": text,
        "message": text,
        "attempts": text,
        "tenant": text,
        "size": 60,
        "came_from": NAME,
        "state": "redriven",
        "handled": handled(text),
        "run_id": text,
        "trace_id": text,
        "cost_usd": 0.25,
    }


def handled(text: str) -> DeadLetterHandled:
    edits = [FieldEdit(path=text[:500], before=text[:1000], after=None)]
    return DeadLetterHandled(name=NAME, action="redriven", by=text, at=NOW, reason=text, died=NOW, edits=edits)
