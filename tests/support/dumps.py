"""Dumps of every store, as raw as a person with access to it gets them, and a search in them."""

import asyncio
import base64
import io
import json
import zlib
from collections.abc import Collection
from pathlib import Path

import asyncpg
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from redis.asyncio import Redis


async def of_kafka(bootstrap: str, prefix: str) -> dict[str, bytes]:
    """Every record of every topic: place → key, headers and value; batches are decompressed by the client."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    topics = [name for name in await admin.list_topics() if name.startswith(prefix)]
    await admin.close()
    consumer = AIOKafkaConsumer(
        *topics,
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=9 << 20,
    )
    await consumer.start()
    found, partitions = {}, sorted(consumer.assignment())
    first, end = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
    consumer.pause(*partitions)
    for each in [partition for partition in partitions if first[partition] < end[partition]]:
        consumer.resume(each)
        consumer.seek(each, first[each])
        async with asyncio.timeout(60):
            while await consumer.position(each) < end[each]:
                for record in (await consumer.getmany(each, timeout_ms=100)).get(each, []):
                    headers = b"\n".join(name.encode() + b"=" + (value or b"") for name, value in record.headers)
                    place = f"kafka {record.topic.removeprefix(prefix)}/{record.partition}/{record.offset}"
                    found[place] = b"\n".join((record.key or b"", headers, record.value or b""))
        consumer.pause(each)
    await consumer.stop()
    return found


async def of_redis(url: str) -> dict[str, bytes]:
    """Every key with its value, of any type."""
    client = Redis.from_url(url, decode_responses=False)
    found = {}
    async for key in client.scan_iter():
        match (await client.type(key)).decode():
            case "string":
                value = await client.get(key)
            case "hash":
                value = b"\n".join(b"".join(pair) for pair in (await client.hgetall(key)).items())
            case "set":
                value = b"\n".join(await client.smembers(key))
            case "zset":
                value = b"\n".join(await client.zrange(key, 0, -1))
            case "stream":
                entries = await client.xrange(key)
                value = b"\n".join(b"".join(pair) for _, fields in entries for pair in fields.items())
            case other:
                raise AssertionError(f"{key!r} has the type {other}")
        found[f"redis {key.decode()}"] = key + b"\n" + (value or b"")
    await client.aclose()
    return found


async def of_postgres(dsn: str) -> dict[str, bytes]:
    """Every row of every table of ours."""
    connection = await asyncpg.connect(dsn)
    tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    found = {}
    for table in [each["tablename"] for each in tables]:
        for number, row in enumerate(await connection.fetch(f'SELECT * FROM "{table}"')):
            cells = [each if isinstance(each, bytes) else str(each).encode() for each in row.values()]
            found[f"postgres {table}/{number}"] = b"\n".join(cells)
    await connection.close()
    return found


def of_folder(folder: Path, but: Collection[str] = ()) -> dict[str, bytes]:
    """Every file in a folder, without those in folders of these names."""
    files = [each for each in folder.rglob("*") if each.is_file() and not set(each.relative_to(folder).parts) & {*but}]
    return {f"file {each.relative_to(folder)}": each.read_bytes() for each in files}


def places_of(text: str, dump: dict[str, bytes]) -> set[str]:
    """The places that have the text: in the clear, in another case, escaped, encoded or compressed."""
    encoded = text.encode()
    forms = {encoded, encoded.upper(), json.dumps(text)[1:-1].encode(), encoded.hex().encode()}
    for shift in range(3):
        whole = base64.b64encode(b"\0" * shift + encoded)
        forms.add(whole[4 if shift else 0 : -4])
    return {place for place, held in dump.items() if any(form in each for form in forms for each in _views(held))}


def _views(held: bytes) -> list[bytes]:
    views = [held]
    for start in (held.find(b"\x78\x9c"), held.find(b"\x1f\x8b")):
        if start >= 0:
            try:
                views.append(zlib.decompressobj(wbits=47).decompress(held[start:]))
            except zlib.error:
                continue
    return views


_TABLES = """
SELECT relname AS tablename FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
"""
"""Tables with rows of their own: those of a partitioned table are in its partitions."""


async def backup_of(dsn: str) -> dict[str, bytes]:
    """The rows of every table of ours, to be restored."""
    connection = await asyncpg.connect(dsn)
    found = {}
    for table in await connection.fetch(_TABLES):
        rows = io.BytesIO()
        await connection.copy_from_table(table["tablename"], output=rows)
        found[table["tablename"]] = rows.getvalue()
    await connection.close()
    return found


async def restore(dsn: str, backup: dict[str, bytes], *, alone: str = "") -> None:
    """Put all tables back as they were, or one of them; those that were made since are empty then."""
    connection = await asyncpg.connect(dsn)
    tables = await connection.fetch(_TABLES)
    async with connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        for table in [alone] if alone else [each["tablename"] for each in tables]:
            await connection.execute(f'DELETE FROM "{table}"')
            await connection.copy_to_table(table, source=io.BytesIO(backup.get(table, b"")))
    await connection.close()
