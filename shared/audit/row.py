"""Rows of the record, and the chain that links those of one tenant. Pure."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

SYSTEM = "_system"
"""Chain of what concerns no single tenant, such as stops of all work. No tenant can have this name."""

START = bytes(32)
"""Hash before the first row of a tenant."""

LONGEST = 200
"""Characters of a name in a row. Longer ones come from models, and are cut."""

MOST = 2**63 - 1

_UNWRITABLE = re.compile("[\x00\ud800-\udfff]")


class Place(NamedTuple):
    """Place in the log of the record that a row comes from."""

    topic: str
    """Without the prefix."""
    partition: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A row as its record says it, before it has a number. Holds no text of callers, models or tools."""

    tenant: str
    at: datetime
    kind: str
    name: str = ""
    run_id: str = ""
    step_id: str = ""
    agent: str = ""
    by: str = ""
    outcome: str = ""
    verdict: str = ""
    ref: str = ""
    """Question, handoff or call that the row is about."""
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0
    seconds: float = 0.0
    facts: Mapping[str, Any] = field(default_factory=dict)
    contents: Mapping[str, Any] | None = None
    """Texts, which are stored apart from the row."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row as it is stored. Its hash covers every other field."""

    tenant: str
    number: int
    at: datetime
    kind: str
    name: str
    run_id: str
    step_id: str
    agent: str
    by: str
    outcome: str
    verdict: str
    ref: str
    tokens_in: int
    tokens_out: int
    cost: float
    seconds: float
    facts: str
    digest: str
    """SHA-256 of the contents with their salt; empty without contents."""
    topic: str
    part: int
    at_offset: int
    ordinal: int
    """Number of the row among those of one record, from 0."""
    previous: bytes
    hash: bytes = b""

    def hashed(self) -> bytes:
        """Return the hash of the row: SHA-256 over the previous hash and all fields as a JSON array."""
        values = [getattr(self, name) for name in HASHED]
        values[2] = self.at.astimezone(UTC).isoformat(timespec="microseconds")
        return hashlib.sha256(self.previous + canonical(values).encode()).digest()


COLUMNS = tuple(Row.__slots__)
"""Columns of the table, in order."""

HASHED = COLUMNS[:-2]
"""Fields that the hash covers, besides the previous hash."""

_NAMES = ("kind", "name", "run_id", "step_id", "agent", "by", "outcome", "verdict", "ref")


def canonical(value: Any) -> str:
    """Return the one JSON text of a value."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def writable(text: str, longest: int | None = None) -> str:
    """Return a text that Postgres can hold."""
    return _UNWRITABLE.sub("\ufffd", text if longest is None else text[:longest])


def row_of(draft: Draft, place: Place, ordinal: int, digest: str) -> Row:
    """Return the row of a draft, without its number and its place in the chain."""
    names: dict[str, Any] = {name: writable(str(getattr(draft, name)), LONGEST) for name in _NAMES}
    tokens: dict[str, Any] = {name: min(max(getattr(draft, name), 0), MOST) for name in ("tokens_in", "tokens_out")}
    return Row(
        tenant=draft.tenant,
        number=0,
        at=draft.at,
        **names,
        **tokens,
        cost=float(draft.cost),
        seconds=float(draft.seconds),
        facts=writable(canonical({name: each for name, each in draft.facts.items() if each not in (None, "", [])})),
        digest=digest,
        topic=place.topic,
        part=place.partition,
        at_offset=place.offset,
        ordinal=ordinal,
        previous=b"",
    )


def chained(rows: Iterable[Row], number: int, last: bytes) -> Iterator[Row]:
    """Yield rows as they follow the row of that number and hash."""
    for row in rows:
        number += 1
        values = {name: getattr(row, name) for name in COLUMNS} | {"number": number, "previous": last}
        linked = Row(**values)
        last = linked.hashed()
        yield Row(**values | {"hash": last})


def columns_of(rows: Sequence[Row]) -> list[list[Any]]:
    """Return the rows as columns."""
    return [[getattr(row, name) for row in rows] for name in COLUMNS]
