"""Sealed values: compressed and encrypted under the key of one run, so that destroying the key forgets them.

A sealed record names tenant and run in the header `waggle-sealed`; its other headers and its key stay readable, except
those that may quote content. Layout: one byte for the format, 12 bytes nonce, then AES-GCM over the deflated length of
the hidden headers, these headers as JSON, and the value. The header is authenticated with it.
"""

import base64
import json
import zlib
from collections.abc import Mapping
from secrets import token_bytes
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from schemas.run_id import RUN_ID

SEALED = "waggle-sealed"
"""Header of a sealed record: `<tenant>/<run>`."""

QUOTING = ("waggle-causes", "dlt-message", "dlt-causes", "dlt-headers")
"""Headers that may quote a payload; they are sealed with it."""

LARGEST_OPENED = 64 * 1_048_576
"""Bytes of an opened value: above it, the value counts as damaged."""

_FORMAT = b"\x01"
_NONCE = 12
_LENGTH = 4
_LEVEL = 6


class Damaged(ValueError):
    """A sealed value that its key does not open."""


class Sealed(NamedTuple):
    """Headers and value of a record, sealed or opened."""

    headers: dict[str, str]
    value: bytes


class Owner(NamedTuple):
    """The run a record belongs to."""

    tenant: str
    run: str

    @property
    def name(self) -> str:
        """Content of the header."""
        return f"{self.tenant}/{self.run}"


def owner_named(name: str) -> Owner | None:
    """Return the owner in a header; None if it names none."""
    tenant, _, run = name.partition("/")
    return Owner(tenant, run) if tenant and RUN_ID.fullmatch(run) else None


def is_sealed(value: bytes) -> bool:
    """Return True if the value is sealed: no JSON begins like it."""
    return value.startswith(_FORMAT)


def seal(owner: Owner, key: bytes, headers: Mapping[str, str], value: bytes) -> Sealed:
    """Return the sealed record: the value, and the headers that may quote it."""
    hidden = {name: text for name, text in headers.items() if name in QUOTING}
    quoted = json.dumps(hidden).encode() if hidden else b""
    packed = zlib.compress(len(quoted).to_bytes(_LENGTH, "big") + quoted + value, _LEVEL)
    nonce = token_bytes(_NONCE)
    sealed = AESGCM(key).encrypt(nonce, packed, owner.name.encode())
    shown = {name: text for name, text in headers.items() if name not in hidden}
    return Sealed(shown | {SEALED: owner.name}, _FORMAT + nonce + sealed)


def unseal(owner: Owner, key: bytes, value: bytes) -> Sealed:
    """Return the hidden headers and the value. Raises Damaged."""
    if value[:1] != _FORMAT:
        raise Damaged("unknown format")
    try:
        packed = AESGCM(key).decrypt(value[1 : 1 + _NONCE], value[1 + _NONCE :], owner.name.encode())
    except (InvalidTag, ValueError):
        raise Damaged("it was not sealed under this key") from None
    unpacking = zlib.decompressobj()
    content = unpacking.decompress(packed, LARGEST_OPENED)
    if unpacking.unconsumed_tail:
        raise Damaged(f"it opens to more than {LARGEST_OPENED} bytes")
    length = int.from_bytes(content[:_LENGTH], "big")
    start = _LENGTH + length
    hidden = json.loads(content[_LENGTH:start]) if length else {}
    return Sealed(hidden, content[start:])


def to_text(value: bytes) -> str:
    """Return a sealed value as text, as a timer holds it."""
    return base64.b64encode(value).decode()


def to_bytes(text: str | bytes) -> bytes:
    """Return the sealed value of a timer as it travels."""
    return base64.b64decode(text)
