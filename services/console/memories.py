"""Memories for the console: filters of a list, changes from forms, and selections to forget."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from pydantic import ConfigDict, Field

from schemas.api.memories import ForgetReach
from schemas.message import Part
from services.console.gateway import Gateway

KINDS = ("episodic", "semantic", "procedural")
MARKS = {"candidate": "waiting to be confirmed", "tainted": "from untrusted content", "pinned": "pinned"}
"""Marks that a list is filtered by, in words."""

SELECTIONS = {
    "subject": "all about a person or thing",
    "run": "all from a run",
    "session": "all of a conversation",
    "everything": "everything of the tenant",
}
"""Kinds of selections to forget, in words."""


VERBS: Mapping[str, str] = {
    "correct": "The memory is corrected. Correct it back to undo that.",
    "pin": "The memory is pinned.",
    "unpin": "The memory is no longer pinned.",
    "confirm": "The memory is confirmed: agents recall it as a fact.",
}
"""Changes of a memory, with what is said afterwards."""


class MemoryFilters(Part):
    """Filters of a list, as its form sends them: empty ones count as none."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=False)  # part of a request

    kind: str = Field("", max_length=20)
    mark: str = Field("", max_length=20)
    subject: str = Field("", max_length=200)
    run: str = Field("", max_length=255)
    session: str = Field("", max_length=200)
    text: str = Field("", max_length=400)
    cursor: str = Field("", max_length=100)

    @property
    def query(self) -> dict[str, str]:
        """The filters that are set, without the place in the list."""
        fields = {name: value.strip() for name, value in self if name != "cursor"}
        return {name: value for name, value in fields.items() if value}

    @property
    def asked(self) -> dict[str, str]:
        """The same, as the gateway takes them."""
        query = self.query
        mark = query.pop("mark", "")
        marked = {mark: "true"} if mark in MARKS else {}
        return query | marked | ({"cursor": self.cursor} if self.cursor else {})


def memory_path(id: str, verb: str = "") -> str:
    """Return the path of a memory, or of a change of it, at the gateway."""
    return "/".join(part for part in ("/v1/memories", quote(id, safe=""), verb) if part)


def change_in(verb: str, form: Mapping[str, str]) -> dict[str, Any]:
    """Return the change that a form asks for; of a correction the fields that differ from those it was opened with."""
    order: dict[str, Any] = {"reason": form.get("reason", "")}
    order |= {"version": form["version"]} if form.get("version") else {}
    if verb == "correct":
        for name in ("content", "subject", "importance"):
            if name in form and form[name] != form.get(f"was_{name}", ""):
                order[name] = form[name]
    return order


def order_in(kind: str, value: str) -> dict[str, Any]:
    """Return a selection to forget, as the gateway takes it."""
    return {"everything": True} if kind == "everything" else {kind: value.strip()} if kind in SELECTIONS else {}


async def reach_of(gateway: Gateway, order: Mapping[str, Any]) -> ForgetReach:
    """Send an order to forget, or a dry run of it. Raises GatewayFailure."""
    return await gateway.ask(ForgetReach, "POST", "/v1/memories/forget", body=dict(order))
