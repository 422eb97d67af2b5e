"""Who gives an order that permits acting calls: over Kafka the writer of a topic is not yet one who may decide.

| an order that | is refused as |
|---|---|
| carries no signature, unless the settings accept such | `unsigned` |
| names a signer without a registered public key | `unknown_signer` |
| was changed after it was signed, or signed with another key | `bad_signature` |
| is by a person who may not decide for its tenant, or by another one than its signer | `not_allowed` |
| arrived longer after it was signed than the settings allow | `stale_signature` |

A refused order is a dead letter and is counted. A repeated one changes nothing: its id is known to the run.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from schemas.approval import Command
from shared.access.principals import SIGNED, Principals, Role, read_principals, signing_name
from shared.access.signing import SIGNATURE, SIGNER, statement, verifies
from shared.blackboard import Client, keys
from shared.bus import Delivery, header_map
from shared.config import Settings
from shared.errors import TerminalError
from shared.telemetry.metrics import Metrics

REMEMBERED = 86_400
"""Seconds for which an order that arrived in time may be retried or redriven."""

NOTED_BY_KAFKA = 1
"""The type of a record's time when Kafka set it at its arrival, and not its sender."""


@dataclass(frozen=True, slots=True)
class Authority:
    """Lets pass what its giver may order."""

    principals: Principals | None
    unsigned: bool
    window: timedelta
    redis: Client
    metrics: Metrics

    @classmethod
    def of(cls, settings: Settings, redis: Client, metrics: Metrics) -> "Authority":
        """Return what the settings say."""
        principals, unsigned = read_principals(settings.principals), settings.unsigned_decisions == "accept"
        return cls(principals, unsigned, timedelta(seconds=settings.decision_window), redis, metrics)

    async def check(self, delivery: Delivery) -> None:
        """Return if the message may be obeyed. Raises TerminalError with the code of the table above."""
        role = SIGNED.get(type(delivery.message))
        if role is None:
            return
        assert isinstance(delivery.message, Command), "all that are signed say whose they are"
        try:
            await self._check(delivery, delivery.message, role)
        except TerminalError as refused:
            self.metrics.decisions_refused.labels(refused.code).inc()
            raise

    async def _check(self, delivery: Delivery, order: Command, role: Role) -> None:
        headers = _texts(delivery)
        if self.unsigned and (SIGNATURE not in headers or self.principals is None):
            return
        if SIGNATURE not in headers:
            raise _refusal("unsigned", "it carries no signature; docs/access.md says how to sign")
        if self.principals is None:
            raise _refusal("unknown_signer", "WAGGLE_KEYS names no file with public keys")
        said = _verified(headers, delivery.raw.value or b"", self.principals)
        _allow(self.principals, headers[SIGNER], order, role)
        await self._in_time(delivery, said)

    async def _in_time(self, delivery: Delivery, said: bytes) -> None:
        """Judge by when it came first: a retry, or a redrive within a day, is as fresh as that was."""
        first, signed_at = keys.order(hashlib.sha256(said).hexdigest()), delivery.envelope.time
        assert signed_at is not None, "it is part of what was signed"
        if abs(_arrival(delivery) - signed_at) <= self.window:
            await self.redis.set(first, "1", ex=REMEMBERED, nx=True)
        elif not await self.redis.exists(first):
            why = f"it was signed at {signed_at}, more than {self.window.total_seconds():g} s from its arrival"
            raise _refusal("stale_signature", f"{why} (WAGGLE_DECISION_WINDOW); decide again")


def _verified(headers: dict[str, str], value: bytes, principals: Principals) -> bytes:
    """Return what was signed."""
    public = principals.signer(headers.get(SIGNER, ""))
    if not public:
        raise _refusal("unknown_signer", f"header `{SIGNER}` is no name with a public key in WAGGLE_KEYS")
    try:
        said = statement(headers, value)
        genuine = verifies(headers, value, public)
    except ValueError as wrong:
        raise _refusal("bad_signature", str(wrong)) from None
    if not genuine:
        raise _refusal("bad_signature", "it is not what was signed, or was signed with another key")
    return said


def _allow(principals: Principals, signer: str, order: Command, role: Role) -> None:
    """Let people decide for themselves, and a service for those it has authenticated."""
    if order.by != signer and signer not in map(signing_name, principals.services):
        raise _refusal("not_allowed", f"`{signer}` has signed what is said to be by another person")
    person = principals.principals.get(order.by)
    if person is None or role not in person.roles:
        raise _refusal("not_allowed", f"the person it is by does not have the role {role}")
    if not person.acts_for(order.tenant):
        raise _refusal("not_allowed", f"the person it is by may not act for tenant `{order.tenant}`")


def _arrival(delivery: Delivery) -> datetime:
    """Return when it came to Kafka, if Kafka says so; a time that its sender has set counts for nothing."""
    if delivery.raw.timestamp_type == NOTED_BY_KAFKA:
        return datetime.fromtimestamp(delivery.raw.timestamp / 1_000, UTC)
    return datetime.now(UTC)


def _texts(delivery: Delivery) -> dict[str, str]:
    found = header_map(delivery.raw.headers) if delivery.raw is not None else {}
    return {name: value.decode(errors="replace") for name, value in found.items()}


def _refusal(code: str, why: str) -> TerminalError:
    return TerminalError(f"the decision is not obeyed: {why}", code=code)
