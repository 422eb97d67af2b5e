"""Proof of the chain: every row follows the one before, and hashes to what it says; or the first that does not."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from shared.audit.row import COLUMNS, START, Row
from shared.audit.store import AuditStore

AT_ONCE = 2_000
"""Rows read at a time."""

_ROWS = f"SELECT {', '.join(COLUMNS)} FROM audit_records WHERE tenant = $1 AND number > $2 ORDER BY number LIMIT $3"  # noqa: S608 -- the names of our own columns
_CONTENTS = """
SELECT number, run_id, content FROM audit_contents WHERE tenant = $1 AND number BETWEEN $2 AND $3
"""
_ANCHORS = "SELECT first, last, before, after FROM audit_anchors WHERE tenant = $1 ORDER BY first"


@dataclass(frozen=True, slots=True)
class Fault:
    """The first row that is wrong."""

    number: int
    reason: str
    row: Row | None = None


@dataclass(slots=True)
class Proof:
    """Outcome of a verification: the head of the chain, to be kept elsewhere, or the first fault."""

    tenant: str
    rows: int = 0
    """Rows that were checked."""
    contents: int = 0
    """Contents that were checked."""
    forgotten: int = 0
    """Rows whose contents were forgotten with their run."""
    removed: int = 0
    """Rows that retention has removed, by the anchors."""
    number: int = 0
    head: bytes = START
    fault: Fault | None = None


async def verify(store: AuditStore, tenant: str, *, head: tuple[int, str] | None = None) -> Proof:
    """Check all rows of a tenant with their contents. `head`: number and hash that an earlier proof named."""
    while True:
        anchors = await _anchors(store, tenant)
        proof = await _verify(store, tenant, anchors, head)
        if proof.fault is None or len(await _anchors(store, tenant)) == len(anchors):
            return proof  # or else rows were removed meanwhile, as retention allows


async def _verify(
    store: AuditStore, tenant: str, anchors: Mapping[int, asyncpg.Record], head: tuple[int, str] | None
) -> Proof:
    proof = Proof(tenant)
    async for rows in _batches(store, tenant):
        found = await _contents_of(store, tenant, rows)
        proof.fault = await asyncio.to_thread(_check, proof, rows, anchors, head)
        proof.fault = proof.fault or await _check_contents(store, proof, rows, found)
        if proof.fault is not None:
            return proof
    if _skip(proof, anchors):
        proof.fault = None
    if head is not None and head[0] > proof.number:
        proof.fault = Fault(proof.number + 1, f"missing: the chain once had {head[0]:,} rows")
    return proof


def _check(
    proof: Proof, rows: Sequence[Row], anchors: Mapping[int, asyncpg.Record], head: tuple[int, str] | None
) -> Fault | None:
    """Follow the chain through these rows; return the first fault."""
    for row in rows:
        if row.number != proof.number + 1 and not _skip(proof, anchors):
            return Fault(proof.number + 1, "missing: the next row is of a higher number", row)
        if row.number != proof.number + 1:
            return Fault(proof.number + 1, "missing: retention has not removed it", row)
        if row.previous != proof.head:
            return Fault(row.number, "does not follow the row before", row)
        if row.hashed() != row.hash:
            return Fault(row.number, "was changed: its hash is another", row)
        if head is not None and head[0] == row.number and head[1] != row.hash.hex():
            return Fault(row.number, "has another hash than an earlier proof named", row)
        proof.rows, proof.number, proof.head = proof.rows + 1, row.number, row.hash
    return None


def _skip(proof: Proof, anchors: Mapping[int, asyncpg.Record]) -> bool:
    """Pass rows that retention has removed, if it did so at this point of the chain."""
    passed = False
    while (anchor := anchors.get(proof.number + 1)) is not None and anchor["before"] == proof.head:
        proof.removed += anchor["last"] - proof.number
        proof.number, proof.head = anchor["last"], anchor["after"]
        passed = True
    return passed


async def _check_contents(
    store: AuditStore, proof: Proof, rows: Sequence[Row], found: Mapping[int, tuple[str, bytes]]
) -> Fault | None:
    """Compare contents with the digests in their rows. Those of forgotten runs are gone."""
    with_contents = [row for row in rows if row.digest or row.number in found]
    present = [row for row in with_contents if row.number in found]
    opened = await store.contents.opened(proof.tenant, [found[row.number] for row in present])
    digests = {row.number: each.digest for row, each in zip(present, opened, strict=True)}
    doubted = [row for row in with_contents if digests.get(row.number) != row.digest]
    gone = await store.contents.forgotten([*{row.run_id for row in doubted if row.run_id}]) if doubted else set()
    for row in doubted:
        if row.run_id not in gone or digests.get(row.number):
            return Fault(row.number, "has other contents" if row.number in found else "has lost its contents", row)
    proof.forgotten += len(doubted)
    proof.contents += len(with_contents) - len(doubted)
    return None


async def _batches(store: AuditStore, tenant: str) -> AsyncIterator[list[Row]]:
    after, rows = 0, [None]
    while rows:
        async with store.door.of(tenant) as connection:
            rows = await connection.fetch(_ROWS, tenant, after, AT_ONCE)
        if rows:
            after = rows[-1]["number"]
            yield [Row(*each) for each in rows]


async def _contents_of(store: AuditStore, tenant: str, rows: Sequence[Row]) -> dict[int, tuple[str, bytes]]:
    async with store.door.of(tenant) as connection:
        found = await connection.fetch(_CONTENTS, tenant, rows[0].number, rows[-1].number)
    return {each["number"]: (each["run_id"], each["content"]) for each in found}


async def _anchors(store: AuditStore, tenant: str) -> dict[int, Any]:
    async with store.door.of(tenant) as connection:
        return {each["first"]: each for each in await connection.fetch(_ANCHORS, tenant)}
