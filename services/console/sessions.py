"""Sessions: the visitor's key, kept in Redis for some hours, sealed with a secret that only the cookie has.

The cookie holds random bytes. From them come the name of the session in Redis, the key that seals it and the token of
the forms; none of these leads back to the cookie. Redis alone reveals no visitor's key, and a cookie without Redis
neither. All replicas share the sessions.
"""

import hmac
import secrets
from base64 import b64decode, b64encode, urlsafe_b64encode

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.blackboard import Client

PREFIX = "waggle-console:session:"
"""Start of the Redis keys; no tenant's key starts so."""

SECRET_BYTES = 32
_NONCE_BYTES = 12


def new_secret() -> str:
    """Return a new value for the cookie."""
    return secrets.token_urlsafe(SECRET_BYTES)


def form_token(secret: str) -> str:
    """Return the token that every form of this visitor carries."""
    return urlsafe_b64encode(_derived(secret, "form")).decode().rstrip("=")


def is_form_token(secret: str, given: str) -> bool:
    """Return True if a form of this visitor carried the token."""
    return hmac.compare_digest(form_token(secret).encode(), given.encode())


def _derived(secret: str, use: str) -> bytes:
    return hmac.digest(secret.encode(), f"waggle console {use}".encode(), "sha256")


class Sessions:
    """Keys of the visitors who are logged in."""

    def __init__(self, redis: Client, seconds: float) -> None:
        self._redis = redis
        self._seconds = int(seconds)

    async def open(self, key: str, seconds: float | None = None) -> str:
        """Begin a session; return its secret, which no earlier one had. `seconds`: for a shorter one than usual."""
        secret, nonce = new_secret(), secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + AESGCM(_derived(secret, "seal")).encrypt(nonce, key.encode(), None)
        await self._redis.set(_name(secret), b64encode(sealed).decode(), ex=max(1, int(seconds or self._seconds)))
        return secret

    async def key_of(self, secret: str) -> str | None:
        """Return the visitor's key; None if no session has this secret, or it has expired."""
        stored = await self._redis.get(_name(secret))
        if stored is None:
            return None
        sealed = b64decode(stored)
        try:
            opened = AESGCM(_derived(secret, "seal")).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], None)
        except InvalidTag:
            return None
        return opened.decode()

    async def close(self, secret: str) -> None:
        """End a session."""
        await self._redis.delete(_name(secret))


def _name(secret: str) -> str:
    return PREFIX + _derived(secret, "name").hex()
