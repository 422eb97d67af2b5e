"""What the gate knows when it judges: gathered by whoever asks it, read and not changed by the rules."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

from schemas.acting import ActingCall
from schemas.error import ErrorInfo
from schemas.plan import Risk
from schemas.step import Settlement
from shared.authorization.destinations import Trusted, host_of, stands_in
from shared.authorization.policy import Policy


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
    links: Sequence[str] = ()
    """Texts that may be given back to where they are from, whatever they lead to."""
    pages: Sequence["Page"] = ()
    """Public pages that were read, while nothing else was."""
    confidence: float = 1.0
    """The lowest of what the work builds on."""
    step_risk: Risk = Risk.LOW
    """What the plan says of the step."""
    settled: Mapping[str, Settlement] = field(default_factory=dict)
    """Calls that a person was asked about."""
    acted: AbstractSet[str] = frozenset()
    """The deeds (`deeds_of`) of this run until now."""
    work_id: str = ""
    """The work that is being done."""
    effected: Sequence[ActingCall] = ()
    """Acting calls of this run until now, in order, those of this work included."""
    effected_dropped: int = 0
    """Earlier ones that are recorded no more."""
    answered_from_record: AbstractSet[str] = frozenset()
    """`sameness_of` the calls of this work that were answered from the record."""

    def trusted_for(self, tool: str) -> Trusted:
        """What may name the places of one tool."""
        listed = (*self.trusted.patterns, *self.policy.destinations, *self.policy.rules_of(tool).destinations)
        return replace(self.trusted, patterns=listed)

    def may_read(self, address: str, trusted: Trusted) -> bool:
        """Whether asking that address tells nobody anything: somebody trusted has named it, or it stands in `links`.

        An address that the model has made up itself may carry what it has read.
        """
        named = trusted.names(address) or trusted.names_site(address)
        return named or stands_in(address.strip(), self.links) or self._is_linked(address.strip(), trusted)

    def _is_linked(self, address: str, trusted: Trusted) -> bool:
        """Whether a page links there: not to another host, for who has many can have a text spelled to them."""
        host = host_of(address)
        anywhere = self.policy.links == "any" or (host is not None and trusted.names_host(host))
        return any(stands_in(address, [page.text]) for page in self.pages if anywhere or page.host == host)


class Page(NamedTuple):
    """A page that was read."""

    host: str
    text: str
