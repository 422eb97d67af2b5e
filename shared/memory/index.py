"""Indexes of vectors: one for each large tenant and model, so that no tenant slows another or hides its neighbours."""

import hashlib
from collections.abc import Sequence

from shared.memory.connection import Door

FROM = 10_000
"""Vectors of a tenant from which an index is quicker than reading all of them."""

_SIZES = """
SELECT vector_dims(embedding) AS size, count(*) AS n FROM memory_vectors WHERE tenant = $1 AND model = $2 GROUP BY 1
"""
_STATE = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)"
_STATEMENT = """
SELECT format('CREATE INDEX CONCURRENTLY %I ON memory_vectors USING hnsw ((embedding::vector(%s)) vector_cosine_ops)
WHERE tenant = %L AND model = %L AND vector_dims(embedding) = %s', $1::text, $2::int, $3::text, $4::text, $2::int)
"""


async def build(door: Door, tenant: str, model: str) -> bool:
    """Build the index of a tenant's vectors of a model if there are enough and there is none."""
    async with door.of(tenant, readonly=True) as connection:
        sizes = {row["size"]: row["n"] for row in await connection.fetch(_SIZES, tenant, model)}
    built = False
    for size, number in sorted(sizes.items()):
        if number >= FROM:
            built |= await _built(door, tenant, model, size)
    return built


async def _built(door: Door, tenant: str, model: str, size: int) -> bool:
    name = "memory_vectors_" + hashlib.sha256(f"{tenant}/{model}/{size}".encode()).hexdigest()[:24]
    async with door.owner() as connection:
        valid = await connection.fetchval(_STATE, name)
        if valid:
            return False
        if valid is False:  # an earlier build was interrupted
            await connection.execute(f"DROP INDEX IF EXISTS {name}")
        statement = await connection.fetchval(_STATEMENT, name, size, tenant, model)
        await connection.execute("SET maintenance_work_mem = '512MB'")
        await connection.execute(statement, timeout=3_600)
        await connection.execute("RESET maintenance_work_mem; ANALYZE memory_vectors")
    return True


def literal(vector: Sequence[float]) -> str:
    """Return a vector as pgvector reads it."""
    return "[" + ",".join(f"{float(each):.7g}" for each in vector) + "]"
