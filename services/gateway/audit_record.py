"""The audit record as callers see it."""

import json
from datetime import UTC, datetime, timedelta

from schemas.api.audit import AuditAnswer, AuditConditions, AuditRow
from shared.audit.finding import Answer, Found, Position, Question

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def question_of(query: AuditConditions) -> Question:
    """Return the question to the record."""
    plain = query.model_dump(exclude={"tenant", "system", "kind", "contents", "limit", "cursor"})
    return Question(kinds=tuple(query.kind), **plain)


def position_of(cursor: str | None) -> Position | None:
    """Return the position that a cursor names. Raises ValueError."""
    if cursor is None:
        return None
    at, _, number = cursor.partition("~")
    try:
        return Position(_EPOCH + int(at) * _MICROSECOND, min(int(number), 2**63 - 1))
    except OverflowError as wrong:
        raise ValueError("is not a time") from wrong


def cursor_at(position: Position) -> str:
    """Return the cursor that names a position."""
    return f"{(position.at - _EPOCH) // _MICROSECOND}~{position.number}"


def answer_of(answer: Answer, *, shown: bool) -> AuditAnswer:
    """Return a page. `shown`: with contents."""
    after = answer.after
    cursor = None if after is None else cursor_at(after)
    return AuditAnswer(rows=[_row(each, shown=shown) for each in answer.found], next_cursor=cursor)


def _row(found: Found, *, shown: bool) -> AuditRow:
    row, opened = found.row, found.contents
    names = ("number", "at", "kind", "name", "run_id", "step_id", "agent", "by", "outcome", "verdict", "ref", "digest")
    state, contents = "none", None
    if opened is not None:
        state = "withheld" if not shown else "damaged" if opened.digest not in ("", row.digest) else "shown"
        contents = opened.contents if state == "shown" else None
        state = "forgotten" if state == "shown" and contents is None else state
    return AuditRow.model_validate(
        {name: getattr(row, name) for name in (*names, "tokens_in", "tokens_out", "seconds")}
        | {
            "about": found.about,
            "cost_usd": row.cost,
            "facts": json.loads(row.facts),
            "contents": contents,
            "state": state,
            "source": f"{row.topic}/{row.part}/{row.at_offset}/{row.ordinal}",
            "previous": row.previous.hex(),
            "hash": row.hash.hex(),
        }
    )
