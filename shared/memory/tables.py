"""Tables of the memories, their row-level security and the role that reads them.

Two tables belong to the owner alone: the names of the tenants that have memories, and the mark of a filled store.

A transaction names its tenant with a proof that only the door can make, and drops to a role that owns nothing. So SQL
that were injected into a statement, or a forgotten condition, reads and writes no other tenant's rows: changing the
setting `waggle.tenant` breaks the proof, and the secret behind it is in a table that the role cannot read.
"""

import asyncpg

from shared.errors import Misconfigured

ROLE = "waggle_memory"
"""Role of every statement on memories: it logs in nowhere, owns nothing and is subject to row-level security."""

_LOCK = 0x3A67

_OWNED = """
CREATE TABLE IF NOT EXISTS memory_secret (
    one    boolean PRIMARY KEY DEFAULT true CHECK (one),
    secret text    NOT NULL DEFAULT gen_random_uuid()::text || gen_random_uuid()::text
);
INSERT INTO memory_secret DEFAULT VALUES ON CONFLICT DO NOTHING;
REVOKE ALL ON memory_secret FROM PUBLIC;

CREATE TABLE IF NOT EXISTS memory_tenants (tenant text PRIMARY KEY);
REVOKE ALL ON memory_tenants FROM PUBLIC;

CREATE TABLE IF NOT EXISTS memory_filled (
    one    boolean     PRIMARY KEY DEFAULT true CHECK (one),
    at     timestamptz NOT NULL
);
REVOKE ALL ON memory_filled FROM PUBLIC;

CREATE OR REPLACE FUNCTION memory_tenant() RETURNS text LANGUAGE sql STABLE SECURITY DEFINER
SET search_path FROM CURRENT AS $$
    SELECT current_setting('waggle.tenant', true) FROM memory_secret
    WHERE current_setting('waggle.proof', true)
        = encode(sha256(convert_to(secret || '/' || current_setting('waggle.tenant', true), 'UTF8')), 'hex')
$$;
"""

_TABLES = """
CREATE TABLE IF NOT EXISTS memories (
    tenant      text        NOT NULL,
    id          uuid        NOT NULL,
    kind        text        NOT NULL,
    version     integer     NOT NULL,
    subject     text        NOT NULL,
    run         text        NOT NULL,
    session     text        NOT NULL,
    position    integer     NOT NULL,
    created     timestamptz NOT NULL,
    valid_from  timestamptz,
    valid_until timestamptz,
    importance  real        NOT NULL,
    marks       smallint    NOT NULL,
    terms       text        NOT NULL,
    document    text        NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX IF NOT EXISTS memories_by_session ON memories (tenant, session, position) WHERE session <> '';
CREATE INDEX IF NOT EXISTS memories_by_run ON memories (tenant, run) WHERE run <> '';
CREATE INDEX IF NOT EXISTS memories_by_subject ON memories (tenant, subject) WHERE subject <> '';
CREATE INDEX IF NOT EXISTS memories_by_age ON memories (tenant, created, id);
CREATE INDEX IF NOT EXISTS memories_by_end ON memories (tenant, valid_until) WHERE valid_until IS NOT NULL;

CREATE TABLE IF NOT EXISTS memory_terms (
    tenant text     NOT NULL,
    term   text     NOT NULL COLLATE "C",
    id     uuid     NOT NULL,
    impact smallint NOT NULL,
    PRIMARY KEY (tenant, term, id) INCLUDE (impact)
);

CREATE TABLE IF NOT EXISTS memory_forgotten (
    tenant text        NOT NULL,
    id     uuid        NOT NULL,
    at     timestamptz NOT NULL,
    PRIMARY KEY (tenant, id)
);

CREATE TABLE IF NOT EXISTS memory_orders (
    tenant  text        NOT NULL,
    key     text        NOT NULL,
    subject text,
    run     text,
    session text,
    at      timestamptz NOT NULL,
    PRIMARY KEY (tenant, key)
);

CREATE TABLE IF NOT EXISTS memory_turns (
    tenant   text        NOT NULL,
    run      text        NOT NULL,
    session  text        NOT NULL,
    started  timestamptz NOT NULL,
    ended    timestamptz NOT NULL,
    done     boolean     NOT NULL,
    document text        NOT NULL,
    PRIMARY KEY (tenant, run)
);
CREATE INDEX IF NOT EXISTS memory_turns_waiting ON memory_turns (tenant, session, ended) WHERE NOT done;

CREATE TABLE IF NOT EXISTS memory_uses (
    tenant        text        NOT NULL,
    id            uuid        NOT NULL,
    count         bigint      NOT NULL,
    last_accessed timestamptz NOT NULL,
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, id) REFERENCES memories ON DELETE CASCADE
);
"""

_ADDED = """
ALTER TABLE memories
    ADD COLUMN pinned boolean GENERATED ALWAYS AS (coalesce((document::json ->> 'pinned')::boolean, false)) STORED,
    ADD COLUMN tainted boolean GENERATED ALWAYS AS (coalesce(document::json #>> '{taint,0}', '') <> '') STORED;
"""
"""Columns of a later version. Postgres fills them from the documents, those of earlier versions as well."""

_HAS_ADDED = """
SELECT true FROM information_schema.columns
WHERE table_schema = current_schema() AND table_name = 'memories' AND column_name = 'tainted'
"""

_VECTORS = """
CREATE EXTENSION IF NOT EXISTS vector;
CREATE TABLE IF NOT EXISTS memory_vectors (
    tenant    text   NOT NULL,
    model     text   NOT NULL,
    id        uuid   NOT NULL,
    embedding vector NOT NULL,
    PRIMARY KEY (tenant, id, model),
    FOREIGN KEY (tenant, id) REFERENCES memories ON DELETE CASCADE
);
"""

TABLES = ("memories", "memory_terms", "memory_uses", "memory_forgotten", "memory_orders", "memory_turns")
OWNED = ("memory_secret", "memory_tenants", "memory_filled")
VECTORS = "memory_vectors"

_CONFINED = """
ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
ALTER TABLE {table} FORCE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS own_tenant ON {table};
CREATE POLICY own_tenant ON {table}
    USING (tenant = (SELECT memory_tenant())) WITH CHECK (tenant = (SELECT memory_tenant()));
"""

_IS_CONFINED = """
SELECT true FROM pg_policies WHERE schemaname = current_schema() AND tablename = $1 AND policyname = 'own_tenant'
"""


class Prepared:
    """A prepared database: its secret, and the parts that it has."""

    def __init__(self, secret: str, *, vectors: bool, role: bool) -> None:
        self.secret = secret
        self.vectors = vectors
        """False where the extension `vector` is not installed: full text alone."""
        self.role = role
        """False where the user may not create a role; row-level security then binds the user itself."""


async def prepare(connection: asyncpg.Connection) -> Prepared:
    """Create what is missing. Concurrent processes wait for each other. Raises Misconfigured for an unsafe user."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        await connection.execute(_OWNED)
        await connection.execute(_TABLES)
        if not await connection.fetchval(_HAS_ADDED):  # the statement locks the table against readers
            await connection.execute(_ADDED)
        vectors = await _attempt(connection, _VECTORS)
        tables = (*TABLES, VECTORS) if vectors else TABLES
        for table in tables:
            if not await connection.fetchval(_IS_CONFINED, table):  # the statements lock the table against readers
                await connection.execute(_CONFINED.format(table=table))
        role = await _role(connection, tables)
        secret = await connection.fetchval("SELECT secret FROM memory_secret")
    return Prepared(secret, vectors=vectors, role=role)


async def _attempt(connection: asyncpg.Connection, statements: str) -> bool:
    """Execute statements that a server or a user's rights may not allow; return False if they do not."""
    try:
        async with connection.transaction():
            await connection.execute(statements)
    except (
        asyncpg.InsufficientPrivilegeError,
        asyncpg.FeatureNotSupportedError,
        asyncpg.UndefinedFileError,
        asyncpg.DuplicateObjectError,
        asyncpg.UniqueViolationError,
    ):
        return False
    return True


async def _role(connection: asyncpg.Connection, tables: tuple[str, ...]) -> bool:
    """Create the role and grant it the tables. Raises Misconfigured if row-level security would bind nothing."""
    if not await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", ROLE):
        await _attempt(connection, f"CREATE ROLE {ROLE} NOLOGIN NOSUPERUSER NOBYPASSRLS")
    granted = await _attempt(
        connection,
        f"GRANT {ROLE} TO CURRENT_USER; GRANT SELECT, INSERT, UPDATE, DELETE ON {', '.join(tables)} TO {ROLE};"
        f"SET LOCAL ROLE {ROLE}; RESET ROLE",
    )
    unbound = await connection.fetchval("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user")
    if unbound and not granted:
        raise Misconfigured(f"the user of WAGGLE_POSTGRES ignores row-level security and cannot become {ROLE}")
    return granted
