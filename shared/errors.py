"""Errors named by what follows from them.

WaggleError
├── RetryableError    worth trying again, after `after` seconds
├── TerminalError     trying again changes nothing: dead letter, or a failed step
│   └── InvalidMessage    bytes, headers or payload no version of us can read
├── NeedsHuman        only a person can decide how this goes on
├── Misconfigured     a setting must be changed first: do not start
├── BlackboardLost    Redis holds nothing, or something old: wait until it is rebuilt
├── LogDamaged        a log in Kafka has lost records: an operator must restore it
├── Stopped           an operator has stopped it: park it until it is started again
├── Conflict          somebody else changed the state first: load it again and decide again
├── Fenced            somebody else has taken this work over: stop, change nothing
└── Unwanted          the run no longer awaits this work: make no further call, report what was spent
"""

from schemas.verdict import Proposal


class WaggleError(Exception):
    """Root of everything raised on purpose."""

    code = "error"


class RetryableError(WaggleError):
    """Worth trying again, after `after` seconds; `code` says in one word what is in the way.

    `exact`: then and not some time later, because its turn was reckoned; else many must not come back at once.
    """

    def __init__(self, message: str, *, after: float = 1.0, code: str = "retryable", exact: bool = False) -> None:
        super().__init__(message)
        self.after = after
        self.exact = exact
        self.code = code


class TerminalError(WaggleError):
    """Trying again changes nothing; `code` says what kind it is, in one word a machine can match."""

    def __init__(self, message: str, *, code: str = "terminal") -> None:
        super().__init__(message)
        self.code = code


class InvalidMessage(TerminalError):
    """Bytes, headers or payload that no version of this system can read."""

    def __init__(self, message: str, *, code: str = "invalid_message") -> None:
        super().__init__(message, code=code)


class NeedsHuman(WaggleError):
    """Only a person can decide how this goes on."""

    code = "needs_human"

    def __init__(
        self,
        question: str,
        *,
        options: tuple[str, ...] = (),
        call: str | None = None,
        proposal: Proposal | None = None,
    ) -> None:
        super().__init__(question)
        self.options = options
        self.call = call
        """The tool call that it is about, if it is about one."""
        self.proposal = proposal
        """That call, if it was not made and may be made with a person's permission."""


class Misconfigured(WaggleError):
    """A setting must be changed before anything can work; the message names it, and never shows a password."""

    code = "misconfigured"


class BlackboardLost(WaggleError):
    """Redis holds nothing, or something old; everybody waits until it is rebuilt from the logs."""

    code = "blackboard_lost"
    after = 0.1


class LogDamaged(WaggleError):
    """A log in Kafka lacks what it held before; the message says what to do. Nothing is rebuilt from it."""

    code = "log_damaged"


class Stopped(WaggleError):
    """An operator has stopped this work: its message is parked until it is started again.

    `scopes` are all by which it can be stopped.
    """

    code = "stopped"
    after = 0.5

    def __init__(self, reason: str, scopes: tuple[str, ...] = ()) -> None:
        super().__init__(reason)
        self.scopes = scopes


class Conflict(WaggleError):
    """Somebody else changed the state first."""

    code = "conflict"


class Fenced(WaggleError):
    """Somebody else has taken this work over; whatever is still to be done here must not be."""

    code = "fenced"


class Unwanted(WaggleError):
    """The run no longer awaits this handoff: it ended, dropped the plan, or asked again."""

    code = "unwanted"
