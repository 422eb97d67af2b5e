"""What the gate knows when it judges: gathered by whoever asks it, read and not changed by the rules."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime

from schemas.error import ErrorInfo
from schemas.plan import Risk
from schemas.step import Settlement
from shared.gate.destinations import Trusted, host_of, stands_in
from shared.gate.policy import Policy


@dataclass(frozen=True, slots=True)
class Situation:
    """One moment of some work."""

    policy: Policy
    trusted: Trusted
    """What people and the operator have said: the task's own words, not its context."""
    now: datetime
    stopped: str | None = None
    """Why an operator has stopped the work."""
    used_up: ErrorInfo | None = None
    """The limit of this work that is reached."""
    origins: Sequence[str] = ()
    """Of the untrusted content the model has read. While there is none, its choices come from the task alone."""
    read: Sequence[str] = ()
    """Pages and files it has read, in small letters: what links there are stands in them."""
    hosts: AbstractSet[str] = frozenset()
    """Hosts it has gone to before it had read anything untrusted."""
    confidence: float = 1.0
    """The lowest of what the work builds on."""
    step_risk: Risk = Risk.LOW
    """What the plan says of the step."""
    settled: Mapping[str, Settlement] = field(default_factory=dict)
    """Calls that a person was asked about."""
    acted: AbstractSet[tuple[str, ...]] = frozenset()
    """The deeds (`deed_of`) of this work until now."""

    def trusted_for(self, tool: str) -> Trusted:
        """What may name the places of one tool."""
        listed = (*self.trusted.patterns, *self.policy.destinations, *self.policy.rules_of(tool).destinations)
        return replace(self.trusted, patterns=listed)

    def may_read(self, address: str, trusted: Trusted) -> bool:
        """Whether asking that address tells nobody anything: it was chosen by the task, or before, or by what was read.

        An address that the model has made up itself may carry what it has read.
        """
        host = host_of(address)
        if host is None:
            return trusted.names(address)
        known = host in self.hosts or trusted.names_host(host) or trusted.names(address)
        return known or stands_in(address.strip().casefold(), self.read)
