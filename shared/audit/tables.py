"""Tables of the record, partitioned by month, and the roles that may add to them and read them.

No statement of a service can change or delete a row: its role has only INSERT and SELECT, and a trigger refuses the
rest to every role but the one that removes what retention allows: it lets no row go before its time, or under a legal
hold. Row-level security confines each to one tenant.
"""

from datetime import UTC, datetime

import asyncpg

WRITER, READER, KEEPER = "waggle_archivist", "waggle_auditor", "waggle_audit_keeper"
"""Roles of the service, of readers, and of removal by retention. They log in nowhere and own nothing."""

_LOCK = 0x3A69

_TABLES = """
CREATE TABLE IF NOT EXISTS audit_records (
    tenant     text             NOT NULL,
    number     bigint           NOT NULL,
    at         timestamptz      NOT NULL,
    kind       text             NOT NULL,
    name       text             NOT NULL,
    run_id     text             NOT NULL,
    step_id    text             NOT NULL,
    agent      text             NOT NULL,
    by         text             NOT NULL,
    outcome    text             NOT NULL,
    verdict    text             NOT NULL,
    ref        text             NOT NULL,
    tokens_in  bigint           NOT NULL,
    tokens_out bigint           NOT NULL,
    cost       double precision NOT NULL,
    seconds    double precision NOT NULL,
    facts      text             NOT NULL,
    digest     text             NOT NULL,
    topic      text             NOT NULL,
    part       integer          NOT NULL,
    at_offset  bigint           NOT NULL,
    ordinal    integer          NOT NULL,
    previous   bytea            NOT NULL,
    hash       bytea            NOT NULL,
    PRIMARY KEY (tenant, number, at),
    UNIQUE (tenant, topic, part, at_offset, ordinal, at)
) PARTITION BY RANGE (at);
CREATE INDEX IF NOT EXISTS audit_records_by_time ON audit_records (tenant, at, number);
CREATE INDEX IF NOT EXISTS audit_records_by_run ON audit_records (tenant, run_id, number) WHERE run_id <> '';
CREATE INDEX IF NOT EXISTS audit_records_by_name ON audit_records (tenant, kind, name, at);
CREATE INDEX IF NOT EXISTS audit_records_by_person ON audit_records (tenant, by, at) WHERE by <> '';

CREATE TABLE IF NOT EXISTS audit_contents (
    tenant  text        NOT NULL,
    number  bigint      NOT NULL,
    at      timestamptz NOT NULL,
    run_id  text        NOT NULL,
    content bytea       NOT NULL,
    PRIMARY KEY (tenant, number, at)
) PARTITION BY RANGE (at);
CREATE INDEX IF NOT EXISTS audit_contents_by_run ON audit_contents (tenant, run_id) WHERE run_id <> '';

CREATE TABLE IF NOT EXISTS audit_anchors (
    tenant    text        NOT NULL,
    first     bigint      NOT NULL,
    last      bigint      NOT NULL,
    before    bytea       NOT NULL,
    after     bytea       NOT NULL,
    removed   timestamptz NOT NULL DEFAULT now(),
    by        text        NOT NULL,
    reason    text        NOT NULL,
    PRIMARY KEY (tenant, first)
);

CREATE TABLE IF NOT EXISTS audit_policies (
    tenant  text        NOT NULL,
    changed timestamptz NOT NULL DEFAULT clock_timestamp(),
    days    integer     NOT NULL,
    held    boolean     NOT NULL,
    by      text        NOT NULL,
    reason  text        NOT NULL,
    PRIMARY KEY (tenant, changed)
);

CREATE TABLE IF NOT EXISTS audit_tenants (tenant text PRIMARY KEY);

CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE policy record;
BEGIN
    IF TG_OP = 'DELETE' AND current_user = 'waggle_audit_keeper' THEN
        SELECT days, held INTO policy FROM audit_policies
            WHERE tenant = OLD.tenant ORDER BY changed DESC LIMIT 1;
        IF FOUND AND policy.days > 0 AND NOT policy.held AND OLD.at < now() - make_interval(days => policy.days) THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'the audit record takes no % of a row', lower(TG_OP) USING ERRCODE = 'insufficient_privilege';
END $$;
"""

TABLES = ("audit_records", "audit_contents", "audit_anchors", "audit_policies")
PARTITIONED = TABLES[:2]

_GUARDED = """
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
ALTER TABLE {table} FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON {table} USING (tenant = current_setting('waggle.tenant', true))
    WITH CHECK (tenant = current_setting('waggle.tenant', true));
"""
_IS_GUARDED = """
SELECT true FROM pg_policies WHERE schemaname = current_schema() AND tablename = $1 AND policyname = 'own_tenant'
"""
_GRANTS = {
    WRITER: "GRANT SELECT, INSERT ON audit_records, audit_contents TO {role}; GRANT SELECT ON audit_anchors TO {role}",
    READER: "GRANT SELECT ON audit_records, audit_contents, audit_anchors, audit_policies TO {role}",
    KEEPER: "GRANT SELECT, DELETE ON audit_records, audit_contents TO {role};"
    "GRANT SELECT, INSERT ON audit_anchors, audit_policies TO {role}",
}

_PARTITION = """
CREATE TABLE IF NOT EXISTS {table}_{month} PARTITION OF {table} FOR VALUES FROM ('{start}') TO ('{end}');
DROP TRIGGER IF EXISTS no_truncate ON {table}_{month};
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON {table}_{month} FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
"""
_OTHERWISE = "CREATE TABLE IF NOT EXISTS {table}_other PARTITION OF {table} DEFAULT"

_FIRST_YEAR, _LAST_YEAR = 2020, 2199
"""Years that have partitions of their own; a time outside them is a mistake of its writer."""

_REFUSED = (
    asyncpg.InsufficientPrivilegeError,
    asyncpg.DuplicateObjectError,
    asyncpg.UniqueViolationError,
)


async def prepare(connection: asyncpg.Connection) -> bool:
    """Create what is missing; return False where the user may create no roles. Concurrent processes wait in turn."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        await connection.execute(_TABLES)
        for table in PARTITIONED:
            await connection.execute(_OTHERWISE.format(table=table))
        for table in TABLES:
            if not await connection.fetchval(_IS_GUARDED, table):  # the statements lock the table against readers
                await connection.execute(_GUARDED.format(table=table))
        return all([await _role(connection, role) for role in _GRANTS])


async def make_month(connection: asyncpg.Connection, month: str) -> None:
    """Create the partitions of a month, as `month_of` names it."""
    year, number = map(int, month.split("_"))
    if not _FIRST_YEAR <= year <= _LAST_YEAR:
        return
    start, end = datetime(year, number, 1, tzinfo=UTC), datetime(year + number // 12, number % 12 + 1, 1, tzinfo=UTC)
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        for table in PARTITIONED:
            if await connection.fetchval("SELECT to_regclass($1)", f"{table}_{month}") is None:
                await connection.execute(_PARTITION.format(table=table, month=month, start=start, end=end))


def month_of(at: datetime) -> str:
    """Return the name of the partition of a time."""
    return at.astimezone(UTC).strftime("%Y_%m")


async def _role(connection: asyncpg.Connection, role: str) -> bool:
    """Create a role and grant it what it needs; return False if the user may not."""
    if not await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", role):
        await _attempt(connection, f"CREATE ROLE {role} NOLOGIN NOSUPERUSER NOBYPASSRLS")
    granted = _GRANTS[role].format(role=role)
    return await _attempt(connection, f"GRANT {role} TO CURRENT_USER; {granted}; SET LOCAL ROLE {role}; RESET ROLE")


async def _attempt(connection: asyncpg.Connection, statements: str) -> bool:
    try:
        async with connection.transaction():
            await connection.execute(statements)
    except _REFUSED:
        return False
    return True
