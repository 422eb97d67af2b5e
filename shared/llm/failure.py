"""Requests without a usable reply: their codes, and what they cost."""

from typing import Any

from schemas.budget import Usage
from shared.llm.prices import Price
from shared.llm.usage import Amount, usage_of
from shared.resilience import Outcome

QUOTA, CONTEXT, FILTERED, REFUSAL, GARBLED = (
    "quota_exhausted",
    "context_length",
    "content_filter",
    "refusal",
    "model_garbled",
)
"""Codes of failures a provider reports in its own words, or not at all; runs fail with these codes."""


class NotAnswered(Exception):
    """A request without a usable reply."""

    received = 0
    """Bytes received before the failure."""

    def __init__(
        self,
        code: str,
        outcome: Outcome,
        *,
        hold: float = 0.0,
        elsewhere: bool = True,
        free: bool = False,
        words: str = "",
        reported: Any = None,
    ) -> None:
        super().__init__(f"{code}: {words}" if words else code)
        self.words = words
        """The provider's message, redacted."""
        self.reported = reported
        """Usage in the provider's answer, unvalidated."""
        self.usage: Usage | None = None
        """Usage to charge, once known."""
        self.code = code
        """Code of the failure, for metrics and logs."""
        self.outcome = outcome
        """Outcome to report to the endpoint's breaker."""
        self.hold = hold
        """Seconds for which the endpoint must receive no request."""
        self.elsewhere = elsewhere
        """True if another endpoint may succeed."""
        self.free = free
        """True if the request certainly cost nothing."""


def usage_of_failure(failure: NotAnswered, prompt: Amount, longest: int, price: Price) -> Usage | None:
    """Return the usage the provider reports for a failed request; None if it reports none: then the maximum counts."""
    if failure.free or not failure.reported:
        return None
    return usage_of(failure.reported, prompt, Amount((), failure.received, max(longest, failure.received)), price)
