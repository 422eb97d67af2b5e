"""Forms of the credentials that the environment carries."""

import base64
import re

SIGNING_PREFIX = "wgs_"
"""First characters of a service's private key, so that it is found in logs and texts, and hidden."""

_SIGNING_KEY = re.compile(rf"{SIGNING_PREFIX}[A-Za-z0-9_-]{{43}}")


def presentable(key: str) -> bool:
    """Return whether the key can be sent at all: printable ASCII without spaces."""
    return key.isascii() and key.isprintable() and " " not in key


def signing_seed(secret: str) -> bytes:
    """Return the 32 bytes of a private key written as one word. Raises ValueError, without the word."""
    if not _SIGNING_KEY.fullmatch(secret):
        raise ValueError("it is no signing key; copy it again, as `waggle keys gateway` has printed it")
    return base64.urlsafe_b64decode(secret.removeprefix(SIGNING_PREFIX) + "=")


def signing_word(seed: bytes) -> str:
    """Return a private key's 32 bytes as one word, for a service's environment."""
    return SIGNING_PREFIX + base64.urlsafe_b64encode(seed).decode().rstrip("=")
