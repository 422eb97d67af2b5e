"""Errors, named by their consequence.

WaggleError
├── RetryableError    retry after `after` seconds
├── TerminalError     a retry changes nothing: dead letter, or a failed step
│   └── InvalidMessage    bytes, headers or payload that no version can read
├── NeedsHuman        a human decision is required
├── Misconfigured     a setting must be changed first: do not start
├── BlackboardLost    Redis is empty or stale: wait until it is rebuilt
├── LogDamaged        a log in Kafka has lost records: an operator must restore it
├── Stopped           an operator has stopped the work: park it until it is started
├── Conflict          another writer changed the state first: reload and decide
├── Forgotten         the run was forgotten: drop what belongs to it
├── Fenced            another worker owns the work: stop, change nothing
└── Unwanted          the run no longer awaits the work: make no further call, report the usage
"""

from schemas.question import Kind
from schemas.verdict import Proposal


class WaggleError(Exception):
    """Root of all errors raised on purpose."""

    code = "error"


class RetryableError(WaggleError):
    """Retry after `after` seconds; `code` names the obstacle in one word.

    `exact`: a slot was reserved, retry at precisely `after`. Otherwise jitter is added, so that not all return at once.
    """

    def __init__(self, message: str, *, after: float = 1.0, code: str = "retryable", exact: bool = False) -> None:
        super().__init__(message)
        self.after = after
        self.exact = exact
        self.code = code


class TerminalError(WaggleError):
    """A retry changes nothing; `code` names the kind in one word that machines can match."""

    def __init__(self, message: str, *, code: str = "terminal") -> None:
        super().__init__(message)
        self.code = code


class InvalidMessage(TerminalError):
    """Bytes, headers or payload that no version can read."""

    def __init__(self, message: str, *, code: str = "invalid_message") -> None:
        super().__init__(message, code=code)


class NeedsHuman(WaggleError):
    """A human decision is required."""

    code = "needs_human"

    def __init__(
        self,
        question: str,
        *,
        options: tuple[str, ...] = (),
        call: str | None = None,
        proposal: Proposal | None = None,
        kind: Kind | None = None,
    ) -> None:
        super().__init__(question)
        self.options = options
        self.call = call
        """The tool call in question, if there is one."""
        self.proposal = proposal
        """That call, if it was not made and may be made with a person's approval."""
        self.kind = kind
        """Subject of the question."""


class Misconfigured(WaggleError):
    """A setting must be changed before anything can work; the message names it, and never shows a password."""

    code = "misconfigured"


class BlackboardLost(WaggleError):
    """Redis is empty or stale; all services wait until it is rebuilt from the logs."""

    code = "blackboard_lost"
    after = 0.1


class LogDamaged(WaggleError):
    """A log in Kafka lacks records it held before; the message gives the remedy. Nothing is rebuilt from it."""

    code = "log_damaged"


class Stopped(WaggleError):
    """An operator has stopped this work: its message is parked until the work is started.

    `scopes` are all kill switch scopes that include it.
    """

    code = "stopped"
    after = 0.5

    def __init__(self, reason: str, scopes: tuple[str, ...] = ()) -> None:
        super().__init__(reason)
        self.scopes = scopes


class Conflict(WaggleError):
    """Another writer changed the state first."""

    code = "conflict"


class Forgotten(WaggleError):
    """The run was forgotten: what belongs to it is dropped, neither retried nor dead-lettered."""

    code = "forgotten"


class Fenced(WaggleError):
    """Another worker owns the work: change nothing more."""

    code = "fenced"


class Unwanted(WaggleError):
    """The run no longer awaits this handoff: it ended, dropped the plan, or asked again."""

    code = "unwanted"
