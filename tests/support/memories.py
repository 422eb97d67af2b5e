"""Memories of tests."""

from datetime import UTC, datetime, timedelta

from schemas.memory import Memory, MemoryKind, Source

NOW = datetime(2026, 11, 30, tzinfo=UTC)


def memory(content: str, number: int = 0, tenant: str = "acme", *, days: float = 1, **more) -> Memory:
    """A memory of a source of its own, some days old."""
    given = {"kind": MemoryKind.EPISODIC, "created": NOW - timedelta(days=days)} | more
    return Memory(tenant=tenant, content=content, sources=[Source(topic="runs.log", offset=number)], **given)


def memories(*contents: str, **more) -> list[Memory]:
    """One memory for each content."""
    return [memory(content, number, **more) for number, content in enumerate(contents)]
