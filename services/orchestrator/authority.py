"""Verification of orders that permit acting calls: the right to write to the topic is not the authority to decide.

| an order that | is refused as |
|---|---|
| carries no signature, unless the settings accept such | `unsigned` |
| names a signer without a registered public key | `unknown_signer` |
| was changed after it was signed, or signed with another key | `bad_signature` |
| is by a person who may not decide for its tenant, or by another person than its signer | `not_allowed` |
| arrived longer after its signing than the settings allow | `stale_signature` |

A refused order is a dead letter and is counted. A repeated one changes nothing: the run knows its id.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from schemas.approval import Command
from services.orchestrator.settings import OrchestratorSettings
from shared.access.principals import SIGNED, Principals, Role, read_principals, signing_name
from shared.access.signing import SIGNATURE, SIGNER, statement, verifies
from shared.blackboard import Client, keys
from shared.bus import Delivery, header_map
from shared.errors import TerminalError
from shared.telemetry.metrics import Metrics

REMEMBERED = 86_400
"""Seconds for which an order that arrived in time may be retried or redriven."""

NOTED_BY_KAFKA = 1
"""Timestamp type of a record whose time was set by Kafka on arrival, not by its sender."""


@dataclass(frozen=True, slots=True)
class Authority:
    """Checks that the author of an order may give it."""

    principals: Principals | None
    unsigned: bool
    window: timedelta
    redis: Client
    metrics: Metrics

    @classmethod
    def of(cls, settings: OrchestratorSettings, redis: Client, metrics: Metrics) -> "Authority":
        """Return the authority that the settings configure."""
        principals, unsigned = read_principals(settings.principals), settings.unsigned_decisions == "accept"
        return cls(principals, unsigned, timedelta(seconds=settings.decision_window), redis, metrics)

    async def check(self, delivery: Delivery) -> None:
        """Raise TerminalError, with a code of the table above, for an order without authority."""
        roles = SIGNED.get(type(delivery.message))
        if roles is None:
            return
        assert isinstance(delivery.message, Command), "all signed messages name their author"
        try:
            await self._check(delivery, delivery.message, roles)
        except TerminalError as refused:
            self.metrics.decisions_refused.labels(refused.code).inc()
            raise

    async def _check(self, delivery: Delivery, order: Command, roles: frozenset[Role]) -> None:
        headers = _headers(delivery)
        if self.unsigned and (SIGNATURE not in headers or self.principals is None):
            return
        if SIGNATURE not in headers:
            raise _refusal("unsigned", "it carries no signature; docs/access.md explains how to sign")
        if self.principals is None:
            raise _refusal("unknown_signer", "WAGGLE_KEYS names no file with public keys")
        said = _verify(headers, delivery.raw.value or b"", self.principals)
        _allow(self.principals, headers[SIGNER], order, roles)
        await self._check_age(delivery, said)

    async def _check_age(self, delivery: Delivery, said: bytes) -> None:
        """Check the age at the first arrival, which also counts for retries and for redrives within a day."""
        first, signed_at = keys.order(hashlib.sha256(said).hexdigest()), delivery.envelope.time
        assert signed_at is not None, "the time is part of the signed statement"
        if abs(_arrival(delivery) - signed_at) <= self.window:
            await self.redis.set(first, "1", ex=REMEMBERED, nx=True)
        elif not await self.redis.exists(first):
            why = f"it was signed at {signed_at}, more than {self.window.total_seconds():g} s from its arrival"
            raise _refusal("stale_signature", f"{why} (WAGGLE_DECISION_WINDOW); decide again")


def _verify(headers: dict[str, str], value: bytes, principals: Principals) -> bytes:
    """Return the signed statement, after verifying its signature."""
    public = principals.signer(headers.get(SIGNER, ""))
    if not public:
        raise _refusal("unknown_signer", f"header `{SIGNER}` names no signer with a public key in WAGGLE_KEYS")
    try:
        said = statement(headers, value)
        genuine = verifies(headers, value, public)
    except ValueError as wrong:
        raise _refusal("bad_signature", str(wrong)) from None
    if not genuine:
        raise _refusal("bad_signature", "it was changed after it was signed, or was signed with another key")
    return said


def _allow(principals: Principals, signer: str, order: Command, roles: frozenset[Role]) -> None:
    """Check that the author has a role and the tenant, and signed it, or a service that authenticated the author."""
    if order.by != signer and signer not in map(signing_name, principals.services):
        raise _refusal("not_allowed", f"`{signer}` signed an order in the name of another person")
    person = principals.named(order.by)
    if person is None or roles.isdisjoint(person.roles):
        raise _refusal("not_allowed", f"its author does not have the role {' or '.join(sorted(roles))}")
    if not person.acts_for(order.tenant):
        raise _refusal("not_allowed", f"its author may not act for tenant `{order.tenant}`")


def _arrival(delivery: Delivery) -> datetime:
    """Return the arrival time if Kafka set it, else the current time; a time set by the sender is not trusted."""
    if delivery.raw.timestamp_type == NOTED_BY_KAFKA:
        return datetime.fromtimestamp(delivery.raw.timestamp / 1_000, UTC)
    return datetime.now(UTC)


def _headers(delivery: Delivery) -> dict[str, str]:
    found = header_map(delivery.raw.headers) if delivery.raw is not None else {}
    return {name: value.decode(errors="replace") for name, value in found.items()}


def _refusal(code: str, why: str) -> TerminalError:
    return TerminalError(f"the decision is refused: {why}", code=code)
