"""Signature of the agent card (A2A 1.0): a JWS over its canonical form, and the public keys that verify it."""

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from a2a.types import AgentCard
from a2a.utils.signing import ProtectedHeader, create_agent_card_signer
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from jwt.algorithms import ECAlgorithm, OKPAlgorithm

from services.gateway.authentication import CARD_KEYS
from shared.errors import Misconfigured

_REQUIRED = {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x")}
"""Members of a key that its thumbprint (RFC 7638) covers."""

Sign = Callable[[AgentCard], AgentCard]


class CardKey:
    """Key that signs the card. `base`: public address of the gateway, where its public half is."""

    def __init__(self, path: Path, base: str) -> None:
        self._key = _read(path)
        self._algorithm, members = _public(self._key)
        self._kid = _thumbprint(members)
        self._jku = f"{base}{CARD_KEYS}"
        self.jwks = {"keys": [members | {"kid": self._kid, "alg": self._algorithm, "use": "sig"}]}
        """Public keys, as they are published."""

    def sign(self, card: AgentCard) -> AgentCard:
        """Return the card with its signature."""
        header = ProtectedHeader(kid=self._kid, alg=self._algorithm, jku=self._jku, typ="JOSE")
        pem = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return create_agent_card_signer(pem, header)(card)


def read_card_key(path: Path | None, base: str) -> CardKey | None:
    """Return the key in the file; None without one. Raises Misconfigured, which does not show it."""
    return CardKey(path, base) if path else None


def _read(path: Path) -> EllipticCurvePrivateKey | Ed25519PrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as unreadable:
        raise Misconfigured(f"WAGGLE_A2A_SIGNING_KEY: {path} cannot be read: {unreadable.strerror}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise Misconfigured(f"WAGGLE_A2A_SIGNING_KEY: {path} holds no private key in PEM without a password") from None
    match key:
        case EllipticCurvePrivateKey(curve=SECP256R1()) | Ed25519PrivateKey():
            return key
    raise Misconfigured(f"WAGGLE_A2A_SIGNING_KEY: {path} holds another kind of key than P-256 or Ed25519")


def _public(key: EllipticCurvePrivateKey | Ed25519PrivateKey) -> tuple[str, dict[str, Any]]:
    """Return the algorithm of a key's signatures, and its public half as a JWK."""
    if isinstance(key, EllipticCurvePrivateKey):
        return "ES256", ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return "EdDSA", OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)


def _thumbprint(members: dict[str, Any]) -> str:
    needed = {name: members[name] for name in _REQUIRED[members["kty"]]}
    canonical = json.dumps(needed, sort_keys=True, separators=(",", ":"))
    return base64.urlsafe_b64encode(hashlib.sha256(canonical.encode()).digest()).decode().rstrip("=")
