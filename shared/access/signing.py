"""Signatures of orders: Ed25519 over the attributes of an event and the hash of its payload.

The signed bytes are these lines, in UTF-8, joined by one line feed, with none at the end:

    waggle-order-v1
    <waggle-signer>
    <ce_type>
    <ce_id>
    <ce_source>
    <ce_time>
    <SHA-256 of the payload's bytes, in lower-case hex>

Each line is the header as it is sent. docs/access.md has the same in Python and in Node.
"""

import base64
import hashlib
from collections.abc import Iterable, Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from shared.config import signing_seed, signing_word

PURPOSE = "waggle-order-v1"
"""First line, so that a signature made for another purpose permits nothing here."""

SIGNER = "waggle-signer"
"""Header: the name of the key's owner, as in the keys file."""

SIGNATURE = "waggle-signature"
"""Header: the signature in base64."""

ATTRIBUTES = ("ce_type", "ce_id", "ce_source", "ce_time")
"""Signed headers, in order."""


def statement(headers: Mapping[str, str], value: bytes) -> bytes:
    """Return the signed bytes. Raises ValueError for a header that is missing or longer than one line."""
    lines = [PURPOSE, *(_line(headers, name) for name in (SIGNER, *ATTRIBUTES)), hashlib.sha256(value).hexdigest()]
    return "\n".join(lines).encode()


def signed(headers: Mapping[str, str], value: bytes, signer: str, key: Ed25519PrivateKey) -> dict[str, str]:
    """Return the headers of a record, and its signature."""
    named = {**headers, SIGNER: signer}
    return named | {SIGNATURE: base64.b64encode(key.sign(statement(named, value))).decode()}


def verifies(headers: Mapping[str, str], value: bytes, public: Iterable[str]) -> bool:
    """Return whether the record's signature was made with the private half of one of these keys. Raises ValueError."""
    said, signature = statement(headers, value), _bytes(headers[SIGNATURE])
    return any(_verifies(Ed25519PublicKey.from_public_bytes(_bytes(each)), signature, said) for each in public)


def public_half(key: Ed25519PrivateKey) -> str:
    """Return the public key, as in the keys file."""
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def checked_public(text: str) -> str:
    """Return a public key unchanged. Raises ValueError if it is not one."""
    if len(_bytes(text)) != 32:
        raise ValueError("a public key is 32 bytes in base64: `waggle keys new NAME --ed25519 FILE` makes one")
    return text


def new_secret() -> str:
    """Return a new private key as one word, for a service's environment."""
    seed = Ed25519PrivateKey.generate().private_bytes_raw()
    return signing_word(seed)


def from_secret(secret: str) -> Ed25519PrivateKey:
    """Return the private key in a secret. Raises ValueError, which does not show the secret."""
    return Ed25519PrivateKey.from_private_bytes(signing_seed(secret))


def _line(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name, "")
    if not value or not value.isprintable():
        raise ValueError(f"header `{name}` is missing, or is not one line of text")
    return value


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise ValueError("it is not base64") from None


def _verifies(key: Ed25519PublicKey, signature: bytes, said: bytes) -> bool:
    try:
        key.verify(signature, said)
    except InvalidSignature:
        return False
    return True
