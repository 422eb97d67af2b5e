"""Exit codes of the command line, and the error that carries one."""

from collections.abc import Mapping
from enum import IntEnum

from services.cli.redaction import redacted


class Exit(IntEnum):
    """Exit codes, as in the table of `docs/cli.md`."""

    COMPLETE = 0
    FAILED = 1
    USAGE = 2
    REJECTED = 3
    CANCELLED = 4
    WAITING = 5
    UNREACHABLE = 6
    NOT_FOUND = 7
    NOT_FINISHED = 8
    ALREADY = 9
    DOUBTFUL = 10
    """Complete, but nothing useful was found."""
    INCOMPLETE = 11
    """Complete, but a call that acts outside was not made, or may not have been."""
    INTERRUPTED = 130


class CommandError(Exception):
    """Ends the command: one line with the problem, one with the remedy, an exit code. Secrets are redacted at once."""

    def __init__(self, message: str, action: str | None = None, *, code: Exit = Exit.FAILED) -> None:
        self.message = redacted(message)
        super().__init__(self.message)
        self.action = redacted(action) if action else None
        self.code = code


ENDED: Mapping[str, Exit] = {
    "COMPLETE": Exit.COMPLETE,
    "FAILED": Exit.FAILED,
    "REJECTED": Exit.REJECTED,
    "CANCELLED": Exit.CANCELLED,
}
"""Final states of a run with their exit codes."""

EPILOGUE = (
    "Exit codes: 0 complete, 1 failed, 2 usage or bad input, 3 rejected, 4 cancelled, 5 waiting for a person, "
    "6 cannot reach the gateway, 7 not found, 8 not finished yet, 9 already done, 10 complete but nothing useful was "
    "found, 11 complete but a call was not made, 130 interrupted (the run continues)."
)
