"""An export of the audit record: all rows that match, a page at a time, as lines of JSON."""

from collections.abc import AsyncIterator

from services.gateway.audit_record import answer_of
from shared.audit import AuditStore
from shared.audit.finding import Answer, Question, find

AT_ONCE = 500
"""Rows in memory."""

MEDIA_TYPE = "application/x-ndjson"


async def first_page(record: AuditStore, tenant: str, question: Question) -> Answer:
    """Return the newest rows, so that a fault is an answer of its own. Raises ArchiveUnavailable."""
    return await find(record, tenant, question, AT_ONCE)


async def lines_of(
    record: AuditStore, tenant: str, question: Question, first: Answer, *, shown: bool
) -> AsyncIterator[bytes]:
    """Yield the lines of this page and of all older ones. `shown`: with contents. Raises ArchiveUnavailable.

    Rows that are recorded meanwhile are newer than the first page, and are left out.
    """
    answer = first
    while True:
        rows = answer_of(answer, shown=shown).rows
        yield b"".join(row.model_dump_json().encode() + b"\n" for row in rows)
        if answer.after is None:
            return
        answer = await find(record, tenant, question, AT_ONCE, answer.after)
