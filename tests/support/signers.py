"""Persons and a gateway with keys of their own, the file that knows them, and records they have signed."""

import json
from datetime import UTC, datetime
from types import SimpleNamespace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from schemas.approval import HumanDecided
from schemas.registry import topic_of
from shared import bus
from shared.access.principals import digest, new_key
from shared.access.signing import from_secret, new_secret, public_half, signed

PEOPLE = {
    "ada@example.com": (["default"], ["read", "submit", "decide"]),
    "bob": (["default"], ["read", "submit", "operate"]),
    "eve": (["other"], ["read", "decide"]),
    "system": (["default"], ["decide"]),
}
"""Each one's tenants and roles. All but `system` may sign; it has only a key for the gateway."""


class Signers:
    """All principals with a key."""

    def __init__(self, folder):
        self.keys = {name: Ed25519PrivateKey.generate() for name in PEOPLE if name != "system"}
        self.api = {name: new_key() for name in PEOPLE}
        self.secret = new_secret()
        self.keys["services/gateway"] = from_secret(self.secret)
        self.file = folder / "keys.toml"
        self.write(gateway=True)

    def write(self, *, gateway: bool) -> None:
        lines = [self._entry(name, *facts) for name, facts in PEOPLE.items()]
        service = f'[services.gateway]\ned25519 = ["{public_half(self.keys["services/gateway"])}"]\n'
        self.file.write_text("\n".join([*lines, *([service] if gateway else [])]))

    def bearer(self, name: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.api[name]}"}

    def headers(self, message, *, signer: str | None = None, key: str | None = None, **changes: str) -> dict[str, str]:
        """Headers of a message, signed by its author or `signer`; `key`: with the key of another principal."""
        author = signer or message.by
        return signed(attributes(message, **changes), message.written().encode(), author, self.keys[key or author])

    def _entry(self, name: str, tenants: list[str], roles: list[str]) -> str:
        public = f'ed25519 = "{public_half(self.keys[name])}"\n' if name in self.keys else ""
        facts = f"tenants = {json.dumps(tenants)}\nroles = {json.dumps(roles)}\n"
        return f'[principals."{name}"]\nsha256 = "{digest(self.api[name])}"\n{public}{facts}'


def attributes(message, **changes: str) -> dict[str, str]:
    found = {
        "ce_specversion": "1.0",
        "ce_type": message.wire_type(),
        "ce_id": "decision-1",
        "ce_source": "/desk",
        "ce_time": datetime.now(UTC).isoformat(),
        "content-type": "application/json",
    }
    return found | changes


def decision(run_id: str = "run-1", request_id: str = "request-1", by: str = "ada@example.com", **more) -> HumanDecided:
    about = {"run_id": run_id, "tenant": "default", "by": by, "request_id": request_id, "decision": "approve"}
    return HumanDecided(**about | more)


def received(message, headers: dict[str, str], *, value: bytes | None = None, appended: float | None = None):
    """The delivery of a record with these headers; `appended`: when Kafka says that it arrived."""
    return bus.decode(
        SimpleNamespace(
            value=message.written().encode() if value is None else value,
            headers=[(name, each.encode()) for name, each in headers.items()],
            key=message.run_id.encode(),
            topic=topic_of(message),
            partition=0,
            offset=0,
            timestamp=int((appended or 0) * 1_000),
            timestamp_type=0 if appended is None else 1,
        ),
        prefix="",
    )
