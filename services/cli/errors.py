"""The group that turns errors into one line on stderr and an exit code."""

import sys
import traceback
from typing import Any

import typer
from typer.core import TyperGroup

from services.cli.exit_codes import ConsoleError, Exit
from services.cli.redaction import redacted


class ErrorsToExits(TyperGroup):
    """Shows an expected error as one line with what to do, and leaves with its exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise typer.Exit(Exit.INTERRUPTED) from None
        except Exception as error:
            expected = _expected(error)
            if expected is None:
                _redact(error)
                raise
            _complain(expected)
            raise typer.Exit(expected.code) from None


def _expected(error: Exception) -> ConsoleError | None:
    """Return the error as the command line reports it; None for a defect."""
    from pydantic import ValidationError  # noqa: PLC0415 -- only a failed command needs them

    from shared.errors import Misconfigured  # noqa: PLC0415 -- as above

    match error:
        case ConsoleError():
            return error
        case Misconfigured():
            return ConsoleError(str(error), "`waggle doctor` checks the other settings too", code=Exit.USAGE)
        case ValidationError():
            return _invalid(error)
    return None


def _invalid(error: Any) -> ConsoleError:
    from shared.config import Settings, wrong_settings  # noqa: PLC0415 -- slow to import

    if error.title == Settings.__name__:
        return ConsoleError("; ".join(wrong_settings(error, Settings)), code=Exit.USAGE)
    return ConsoleError(
        f"the gateway's answer cannot be read as {error.title}: {error.errors()[0]['msg']}",
        "is this address Waggle's gateway, and of the same version as this command?",
    )


def _complain(error: ConsoleError) -> None:
    from services.cli.terminal import Screen, one_line  # noqa: PLC0415 -- only a failed command needs them

    Screen().complain(one_line(error.message), one_line(error.action) if error.action else None)


def _redact(error: Exception) -> None:
    """Redact the message of a usage error, which repeats an argument."""
    if isinstance(message := getattr(error, "message", None), str):
        error.message = redacted(message)  # type: ignore[attr-defined]  # checked above


def report_defect(defect: Exception) -> None:
    """Print the traceback of an unexpected error to stderr, redacted."""
    from services.cli.terminal import clean  # noqa: PLC0415 -- only a failed command needs it

    print(clean(redacted("".join(traceback.format_exception(defect)))), end="", file=sys.stderr)
    print("waggle: this is a bug; please report it with the lines above", file=sys.stderr)
