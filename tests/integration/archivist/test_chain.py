"""The record in Postgres: a chain for each tenant, rows that stay, proofs that find what was changed."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from shared.archive import ArchiveUnavailable
from shared.audit import AuditStore
from shared.audit.finding import Question, find
from shared.audit.retention import LEAST_DAYS, change_policy, prune
from shared.audit.row import LONGEST, START
from shared.audit.store import GroupCommit
from shared.audit.tables import KEEPER, READER, WRITER
from shared.audit.verifying import verify
from tests.support.recording import START as START_TIME
from tests.support.recording import recorded, rows_of, tamper


async def test_rows_of_a_tenant_are_one_chain_and_a_repeated_record_adds_none(record):
    assert await record.append(recorded(0, 5) + recorded(5, 3, tenant="other")) == 8
    assert await record.append(recorded(0, 7)) == 2
    rows = await rows_of(record)
    assert [row["number"] for row in rows] == list(range(1, 8))
    assert [row["previous"] for row in rows] == [START, *(row["hash"] for row in rows[:-1])]
    assert len(await rows_of(record, "other")) == 3
    proof = await verify(record, "acme")
    assert (proof.rows, proof.contents, proof.fault, proof.head) == (7, 7, None, rows[-1]["hash"])


async def test_writers_at_the_same_time_leave_one_chain_without_gaps_or_repetitions(record, settings):
    other = AuditStore(settings.postgres)
    commits = [GroupCommit(record), GroupCommit(other)]
    await asyncio.gather(*(commit.add(each) for each in recorded(0, 40) for commit in commits))
    await other.close()
    proof = await verify(record, "acme")
    assert (proof.rows, proof.number, proof.fault) == (40, 40, None)


@pytest.mark.parametrize("role", [WRITER, READER])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_records SET outcome = 'made'",
        "DELETE FROM audit_records",
        "TRUNCATE audit_records",
        "UPDATE audit_contents SET content = ''",
        "DELETE FROM audit_contents",
        "DELETE FROM audit_anchors",
        "UPDATE audit_records_2026_10 SET outcome = 'made'",
        "ALTER TABLE audit_records DISABLE TRIGGER ALL",
    ],
)
async def test_the_roles_of_services_change_no_row(record, role, statement):
    await record.append(recorded(0, 1))
    with pytest.raises((asyncpg.InsufficientPrivilegeError, ArchiveUnavailable)) as refused:
        async with record.door.of("acme", role) as connection:
            await connection.execute(statement)
    assert any(word in str(refused.value) for word in ("permission denied", "read-only", "must be owner"))


@pytest.mark.parametrize("statement", ["UPDATE audit_records SET outcome = 'made'", "DELETE FROM audit_records"])
async def test_even_the_owner_changes_no_row_without_switching_the_protection_off(record, statement):
    await record.append(recorded(0, 1))
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="takes no"):
        async with record.door.owner() as connection:
            await connection.execute(statement)


async def test_a_tenant_neither_reads_nor_extends_the_chain_of_another(record):
    await record.append(recorded(0, 2) + recorded(2, 2, tenant="other"))
    async with record.door.of("other") as connection:
        assert await connection.fetchval("SELECT count(*) FROM audit_records WHERE tenant = 'acme'") == 0
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
        async with record.door.of("other", WRITER) as connection:
            await connection.execute("INSERT INTO audit_contents VALUES ('acme', 9, now(), '', '')")


@pytest.mark.parametrize(
    ("statement", "number", "reason"),
    [
        ("UPDATE audit_records SET outcome = 'made' WHERE number = 3", 3, "was changed"),
        ("UPDATE audit_records SET by = 'Eve' WHERE number = 3", 3, "was changed"),
        ("UPDATE audit_records SET cost = 0.5 WHERE number = 3", 3, "was changed"),
        ("DELETE FROM audit_records WHERE number = 3", 3, "missing"),
        ("DELETE FROM audit_contents WHERE number = 3", 3, "lost its contents"),
        ("UPDATE audit_contents SET content = (SELECT content FROM audit_contents c WHERE c.number = 1)", 2, "other"),
        ("UPDATE audit_records SET hash = previous WHERE number = 3", 3, "was changed"),
    ],
)
async def test_a_changed_row_is_found_and_named(record, statement, number, reason):
    await record.append(recorded(0, 5))
    await tamper(record, statement)
    proof = await verify(record, "acme")
    assert proof.fault is not None
    assert proof.fault.number == number
    assert reason in proof.fault.reason


async def test_a_cut_end_is_found_by_the_head_of_an_earlier_proof(record):
    await record.append(recorded(0, 5))
    before = await verify(record, "acme")
    await tamper(record, "DELETE FROM audit_records WHERE number > 3")
    assert (await verify(record, "acme")).fault is None
    found = await verify(record, "acme", head=(before.number, before.head.hex()))
    assert found.fault is not None
    assert found.fault.number == 4


async def test_a_forgotten_run_takes_its_contents_and_leaves_the_chain(settings, record):
    sealing = AuditStore(settings.postgres, seals=True)
    await sealing.append(recorded(0, 2, run_id="run-gone") + recorded(2, 1, run_id="run-kept"))
    await sealing.contents._keys.forget("acme", ["run-gone"])
    proof = await verify(sealing, "acme")
    assert (proof.fault, proof.rows, proof.contents, proof.forgotten) == (None, 3, 1, 2)
    assert await sealing.holding("acme", ["run-gone", "run-kept", "run-other"]) == {"run-gone", "run-kept"}
    answer = await find(sealing, "acme", Question(), limit=10)
    assert [each.contents.contents for each in answer.found] == [{"arguments": "text 2"}, None, None]
    await tamper(sealing, "UPDATE audit_contents SET content = '\\x00'::bytea WHERE number = 3")
    assert (await verify(sealing, "acme")).fault.number == 3
    await sealing.close()


async def test_questions_are_answered_in_pages_by_name_time_and_text_of_arguments(record):
    await record.append(recorded(0, 30) + recorded(30, 5, name="query", tenant="acme"))
    first = await find(record, "acme", Question(name="send_email"), limit=20)
    second = await find(record, "acme", Question(name="send_email"), limit=20, after=first.after)
    assert [each.row.number for each in (*first.found, *second.found)] == list(range(30, 0, -1))
    assert second.after is None
    found = await find(record, "acme", Question(arguments="TEXT*9"), limit=20)
    assert [each.row.number for each in found.found] == [30, 20, 10]
    since = START_TIME + timedelta(minutes=32)
    assert [each.row.number for each in (await find(record, "acme", Question(since=since), limit=20)).found] == [
        35,
        34,
        33,
    ]
    assert (await find(record, "other", Question(), limit=20)).found == []


async def test_secrets_and_texts_that_postgres_cannot_hold_are_stored_as_what_can_be_read(record):
    hostile = {"arguments": "password=hunter2-secret \x00 \ud800", "deep": [{"api_key": "k-123456789"}]}
    await record.append(recorded(0, 1, contents=hostile, name="tool\x00" * 100))
    [found] = (await find(record, "acme", Question(), limit=1)).found
    assert found.contents.contents == {"arguments": "password=*** \x00 \ufffd", "deep": [{"api_key": "***"}]}
    assert len(found.row.name) == LONGEST
    assert (await verify(record, "acme")).fault is None


async def test_retention_removes_the_oldest_rows_leaves_a_proof_and_stops_at_a_legal_hold(record):
    drafts = [replace(each.drafts[0], at=START_TIME - timedelta(days=400)) for each in recorded(0, 5)]
    old = [replace(each, drafts=[aged]) for each, aged in zip(recorded(0, 5), drafts, strict=True)]
    now = datetime.now(UTC)
    new = [replace(each, drafts=[replace(each.drafts[0], at=now)]) for each in recorded(5, 3)]
    await record.append(old + new)
    assert await prune(record, "acme", "keeper") == 0
    await change_policy(record, "acme", "Ada", "a lawsuit", days=LEAST_DAYS, held=True)
    assert await prune(record, "acme", "keeper") == 0
    with pytest.raises((asyncpg.InsufficientPrivilegeError, ArchiveUnavailable), match="takes no delete"):
        async with record.door.of("acme", KEEPER) as connection:
            await connection.execute("DELETE FROM audit_records WHERE number = 1")
    await change_policy(record, "acme", "Ada", "the lawsuit is over", held=False)
    with pytest.raises((asyncpg.InsufficientPrivilegeError, ArchiveUnavailable), match="takes no delete"):
        async with record.door.of("acme", KEEPER) as connection:
            await connection.execute("DELETE FROM audit_records WHERE number = 6")
    assert await prune(record, "acme", "keeper") == 5
    rows = await rows_of(record)
    assert [row["number"] for row in rows] == list(range(6, 12))
    assert [row["name"] for row in rows if row["kind"] == "retention"] == ["hold", "release", "removed"]
    proof = await verify(record, "acme")
    assert (proof.fault, proof.rows, proof.removed) == (None, 6, 5)
    await tamper(record, "DELETE FROM audit_records WHERE number = 6")
    assert (await verify(record, "acme")).fault.number == 6
