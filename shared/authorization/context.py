"""Context of a ruling: gathered by the caller, read-only for the rules."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

from schemas.acting import ActingCall
from schemas.error import ErrorInfo
from schemas.plan import Risk
from schemas.settlement import Settlement
from shared.authorization.destinations import Trusted, host_of, stands_in
from shared.authorization.policy import Policy


@dataclass(frozen=True, slots=True)
class PolicyContext:
    """Snapshot of the work, as the rules see it."""

    policy: Policy
    trusted: Trusted
    """Words of people and the operator: the task's own words, not its context."""
    now: datetime
    stopped: str | None = None
    """Reason for a kill switch that stops the work."""
    used_up: ErrorInfo | None = None
    """Limit of this work that is used up."""
    origins: Sequence[str] = ()
    """Origins of the untrusted content the model has read. While empty, its choices come from the task alone."""
    links: Sequence[str] = ()
    """Texts that may be returned to their origin, with any addresses in them."""
    pages: Sequence["Page"] = ()
    """Public pages that were read, as long as nothing else was."""
    confidence: float = 1.0
    """Lowest confidence of the work's inputs."""
    step_risk: Risk = Risk.LOW
    """Risk that the plan gives the step."""
    settled: Mapping[str, Settlement] = field(default_factory=dict)
    """Human decisions, by the call they concern."""
    acted: AbstractSet[str] = frozenset()
    """Targets (`targets_of`) this run has acted on."""
    work_id: str = ""
    """Id of the current work."""
    effected: Sequence[ActingCall] = ()
    """Acting calls of this run so far, in order, including those of this work."""
    effected_dropped: int = 0
    """Earlier acting calls that are no longer recorded."""
    answered_from_record: AbstractSet[str] = frozenset()
    """`sameness_of` the calls of this work that were answered from the record."""

    def trusted_for(self, tool: str) -> Trusted:
        """Return the trusted sources that may name the places of one tool."""
        listed = (*self.trusted.patterns, *self.policy.destinations, *self.policy.rules_of(tool).destinations)
        return replace(self.trusted, patterns=listed)

    def may_read(self, address: str, trusted: Trusted) -> bool:
        """Return true if reading the address leaks nothing: a trusted text names it, or `links` contain it.

        An address that the model composed may carry content it has read.
        """
        named = trusted.names(address) or trusted.names_site(address)
        return named or stands_in(address.strip(), self.links) or self._is_linked(address.strip(), trusted)

    def _is_linked(self, address: str, trusted: Trusted) -> bool:
        """Return true if a page links there. To another host only if it is named: data can be spelled in hosts."""
        host = host_of(address)
        anywhere = self.policy.links == "any" or (host is not None and trusted.names_host(host))
        return any(stands_in(address, [page.text]) for page in self.pages if anywhere or page.host == host)


class Page(NamedTuple):
    """A page that was read."""

    host: str
    text: str
