"""Questions to the audit record, as the address of a page has them and as the gateway takes them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

from schemas.api.audit import Kind
from schemas.api.audit_costs import CostName
from services.console.run_filters import AGES

KINDS: tuple[str, ...] = get_args(Kind)
GROUPS: tuple[str, ...] = get_args(CostName)
MONTHS = 12
"""Months that the page of costs offers."""

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True)
class RecordFilters:
    """Conditions that are set; the tenant is that of the page."""

    kind: str = ""
    name: str = ""
    by: str = ""
    run: str = ""
    agent: str = ""
    outcome: str = ""
    verdict: str = ""
    arguments: str = ""
    age: str = ""
    since: str = ""
    until: str = ""

    @classmethod
    def given(cls, query: Mapping[str, str]) -> "RecordFilters":
        """Return the conditions in a query, cut to the lengths that the gateway takes."""
        chosen = {each.name: query.get(each.name, "").strip()[:200] for each in fields(cls)}
        chosen["kind"] = chosen["kind"] if chosen["kind"] in KINDS else ""
        chosen["age"] = chosen["age"] if chosen["age"] in AGES else ""
        days = {name: chosen[name] if _is_day(chosen[name]) else "" for name in ("since", "until")}
        return cls(**chosen | days)

    @property
    def query(self) -> dict[str, str]:
        """The conditions that are set, as an address has them."""
        return {each.name: value for each in fields(self) if (value := getattr(self, each.name))}

    @property
    def wanted(self) -> dict[str, Any]:
        """The conditions as the gateway takes them: days are those of UTC, `until` included."""
        given = {name: value for name, value in self.query.items() if name not in ("age", "since", "until")}
        given |= {"since": (datetime.now(UTC) - AGES[self.age]).isoformat()} if self.age else {}
        given |= {"since": _day(self.since).isoformat()} if self.since else {}
        return given | ({"until": (_day(self.until) + timedelta(days=1)).isoformat()} if self.until else {})


def months(now: datetime) -> list[str]:
    """Return the names of the latest months, the present one first."""
    count = now.year * 12 + now.month - 1
    return [f"{each // 12}-{each % 12 + 1:02}" for each in range(count, count - MONTHS, -1)]


def _is_day(text: str) -> bool:
    try:
        return bool(_DAY.fullmatch(text)) and 2000 <= _day(text).year < 9999
    except ValueError:
        return False


def _day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
