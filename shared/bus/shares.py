"""Tenant of a record, for fair sharing of a consumer between tenants."""

from typing import Any

from aiokafka import ConsumerRecord
from pydantic_core import from_json

from schemas.envelope import HEADER

OUTSIDE = ("tasks", "control", "decisions")
"""Topics written from outside: headers there are untrusted; the payload is authoritative."""


def tenant_of(record: ConsumerRecord[bytes, bytes], *, outside: bool, longest: int) -> str:
    """Return the tenant whose share the record uses; records that name none share one.

    A payload above `longest` bytes is not parsed, since it will be rejected.
    """
    if not outside:
        return _text(dict(record.headers).get(HEADER["tenant"]))
    value = record.value or b""
    return _named(value) if len(value) <= longest else ""


def _named(value: bytes) -> str:
    try:
        payload: Any = from_json(value, cache_strings="keys")
    except ValueError:
        return ""
    tenant = payload.get("tenant") if isinstance(payload, dict) else None
    return tenant if isinstance(tenant, str) else ""


def _text(header: bytes | None) -> str:
    return (header or b"").decode(errors="replace")
