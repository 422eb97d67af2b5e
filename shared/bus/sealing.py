"""Sealed values: compressed and encrypted under the key of one run, so that destroying the key forgets them.

A sealed record names tenant, run and key in the header `waggle-sealed`; its other headers and its own key stay
readable, except those that may quote content. Layout: one byte for the format, 12 bytes nonce, then AES-GCM over the
deflated length of the hidden headers, these headers as JSON, and the value. Tenant and run are authenticated with it.
"""

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from secrets import token_bytes
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from schemas.run_id import RUN_ID

SEALED = "waggle-sealed"
"""Header of a sealed record: `<tenant>/<run>/<id of the key>`; of earlier ones without the id."""

QUOTING = ("waggle-causes", "dlt-message", "dlt-causes", "dlt-headers")
"""Headers that may quote a payload; they are sealed with it."""

LARGEST_OPENED = 64 * 1_048_576
"""Bytes of an opened value: above it, the value counts as damaged."""

_FORMAT = b"\x01"
_NONCE = 12
_LENGTH = 4
_LEVEL = 6
_ID = 16


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
        """Tenant and run, which a sealed value is bound to."""
        return f"{self.tenant}/{self.run}"


class Seal(NamedTuple):
    """Owner of a sealed record, and the key that it names."""

    owner: Owner
    key: str
    """Id of the key; empty in records that name none."""

    def fitting(self, keys: Sequence[bytes]) -> list[bytes]:
        """Return those of a run's keys that may open the record."""
        return [each for each in keys if self.key in {"", key_id(each)}]


def key_id(key: bytes) -> str:
    """Return the id of a key, which says nothing about the key itself."""
    return hashlib.sha256(b"waggle key/" + key).hexdigest()[:_ID]


def seal_named(name: str) -> Seal | None:
    """Return the seal in a header; None if it names no owner."""
    tenant, run, key = (*name.split("/", 2), "", "")[:3]
    return Seal(Owner(tenant, run), key) if tenant and RUN_ID.fullmatch(run) else None


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
    return Sealed(shown | {SEALED: f"{owner.name}/{key_id(key)}"}, _FORMAT + nonce + sealed)


def unseal(owner: Owner, keys: Sequence[bytes], value: bytes) -> Sealed:
    """Return the hidden headers and the value, opened by one of these keys. Raises Damaged."""
    if value[:1] != _FORMAT:
        raise Damaged("unknown format")
    for each in keys[:-1]:
        with suppress(Damaged):
            return _unsealed(owner, each, value)
    return _unsealed(owner, keys[-1], value)


def _unsealed(owner: Owner, key: bytes, value: bytes) -> Sealed:
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
