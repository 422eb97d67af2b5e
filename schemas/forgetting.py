"""Reports of forgettings: which runs are forgotten, what each store has lost of them, and what remains until when.

A report names no content: the subject or session is shown as a digest.
"""

from typing import Literal

from pydantic import Field

from schemas.memory_log import Author, ForgettingOrdered
from schemas.message import MOST, Id, Instant, Part, Slug

MOST_RUNS = 100_000
"""Runs of one forgetting."""

MOST_STORES = 100
"""Stores of one report."""


class StoreForgotten(Part):
    """One store after a forgetting."""

    store: str = Field(max_length=300, description="Such as `redis`, `postgres.blobs` or `kafka.results`.")
    removed: int = Field(ge=0, le=MOST, description="Keys, rows or records that were removed or made unreadable.")
    remaining: int = Field(0, ge=0, le=MOST, description="Records that are still readable.")
    until: Instant | None = Field(None, description="Time at which the last of these is gone, if it is known.")
    note: str = Field("", max_length=500, description="Way of forgetting, or the reason why something remains.")


class Forgetting(Part):
    """An order to forget, and how far it was carried out."""

    id: Id
    tenant: Slug
    kind: Literal["subject", "run", "session", "tenant"]
    named: str = Field("", max_length=300, description="The run; of a subject or session the digest.")
    by: Author
    ordered: Instant
    state: Literal["working", "waiting", "done"] = Field(
        "working", description="`waiting`: for live runs to end; cancel them to forget them now."
    )
    runs: list[Id] = Field(default_factory=list, max_length=MOST_RUNS, description="Runs that are forgotten.")
    live: list[Id] = Field(default_factory=list, max_length=MOST_RUNS, description="Those of them that have not ended.")
    stores: list[StoreForgotten] = Field(default_factory=list, max_length=MOST_STORES)
    finished: Instant | None = None


def begun(order: ForgettingOrdered) -> Forgetting:
    """Return the report of an order before anything is done. The same order always gives the same report."""
    named = order.subject or order.run or order.session or ""
    return Forgetting(
        id=f"{order.key}/{int(order.at.timestamp() * 1_000)}",
        tenant=order.tenant,
        kind="tenant" if order.everything else _kind(order),
        named=named,
        by=order.by,
        ordered=order.at,
    )


def _kind(order: ForgettingOrdered) -> Literal["subject", "run", "session"]:
    return "subject" if order.subject else "run" if order.run else "session"
