"""Filters of the list of runs, as the address of a page has them and as the gateway takes them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

AGES: Mapping[str, timedelta] = {
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "24h": timedelta(days=1),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}
FLAGS: Mapping[str, str] = {
    "retrying": "retrying now",
    "waiting": "waiting more than an hour",
    "over_budget": "over budget",
    "to_review": "checks failed, no feedback",
    "stopped": "stopped",
}
"""Filters that are on or off, with their labels."""

_TEXTS = ("state", "agent", "type", "age", "text")


@dataclass(frozen=True, slots=True)
class RunFilters:
    """Filters that are set; the tenant is that of the page."""

    state: str = ""
    agent: str = ""
    type: str = ""
    age: str = ""
    text: str = ""
    flags: frozenset[str] = frozenset()

    @classmethod
    def given(cls, fields: Mapping[str, str]) -> "RunFilters":
        """Return the filters in a query or a form, cut to the lengths that the gateway takes."""
        chosen = {name: fields.get(name, "").strip()[:200] for name in _TEXTS}
        chosen["state"] = chosen["state"].upper().replace(" ", "_")  # an unknown one is refused by the gateway
        chosen["age"] = chosen["age"] if chosen["age"] in AGES else ""
        return cls(**chosen, flags=frozenset(name for name in FLAGS if fields.get(name)))

    @property
    def query(self) -> dict[str, str]:
        """The filters that are set, as an address has them."""
        texts = {name: value for name in _TEXTS if (value := getattr(self, name))}
        return texts | {name: "on" for name in FLAGS if name in self.flags}

    def wanted(self, until: datetime | None = None) -> dict[str, Any]:
        """Return the filters as the gateway takes them; `until`: only runs started before."""
        now = until or datetime.now(UTC)
        plain = {"state": self.state, "agent": self.agent, "type": self.type, "text": self.text}
        plain |= {"since": (now - AGES[self.age]).isoformat()} if self.age else {}
        plain |= {"until": until.isoformat()} if until else {}
        return {name: value for name, value in plain.items() if value} | dict.fromkeys(sorted(self.flags), "true")
