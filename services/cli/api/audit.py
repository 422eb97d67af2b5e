"""Requests about the audit record."""

from collections.abc import Iterator, Mapping
from typing import Any

from schemas.api.audit import AuditAnswer, AuditRow
from schemas.api.audit_costs import AuditCosts
from services.cli.api.transport import Transport

RECORDS, EXPORT, COST = "/v1/audit/records", "/v1/audit/export", "/v1/audit/cost"
LARGEST_PAGE = 500


class AuditRequests(Transport):
    """Requests about the audit record of a tenant."""

    def audit_rows(self, question: Mapping[str, Any], limit: int) -> Iterator[AuditRow]:
        """Yield the newest rows that match, at most `limit`."""
        query, left = dict(question), limit
        while left > 0:
            query["limit"] = min(left, LARGEST_PAGE)
            page = self._one(AuditAnswer, "GET", RECORDS, params=query)
            yield from page.rows
            left -= len(page.rows)
            if page.next_cursor is None:
                return
            query["cursor"] = page.next_cursor

    def audit_export(self, question: Mapping[str, Any]) -> Iterator[bytes]:
        """Yield all rows that match as lines of JSON, in pieces. Raises UnreachableError if it breaks off."""
        with self._open("GET", EXPORT, params=dict(question)) as response:
            yield from response.iter_bytes()

    def audit_costs(self, question: Mapping[str, Any]) -> AuditCosts:
        """Return sums over the calls of a tenant."""
        return self._one(AuditCosts, "GET", COST, params=dict(question))
