"""Errors of commands: expected ones become one line on stderr and an exit code, others a redacted traceback."""

import sys
import traceback
from typing import Any

import typer
from typer.core import TyperGroup

from services.cli.exit_codes import CommandError, Exit
from services.cli.redaction import redacted


class ErrorsToExits(TyperGroup):
    """Command group that prints an expected error with its remedy, and exits with its code."""

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


def _expected(error: Exception) -> CommandError | None:
    """Return the error as the command line reports it; None for a defect."""
    from pydantic import ValidationError  # noqa: PLC0415 -- only a failed command needs them

    from shared.errors import Misconfigured  # noqa: PLC0415 -- as above

    match error:
        case CommandError():
            return error
        case Misconfigured():
            return CommandError(str(error), "correct it; `waggle doctor` checks all settings", code=Exit.USAGE)
        case ValidationError():
            return _invalid(error)
    return None


def _invalid(error: Any) -> CommandError:
    from shared.config import Settings, wrong_settings  # noqa: PLC0415 -- slow to import

    if error.title == Settings.__name__:
        problems = "; ".join(wrong_settings(error, Settings))
        return CommandError(problems, "correct it; docs/configuration.md lists the settings", code=Exit.USAGE)
    return CommandError(
        f"the gateway's answer is not a valid {error.title}: {error.errors()[0]['msg']}",
        "check that the address is Waggle's gateway, of the same version as this command",
    )


def _complain(error: CommandError) -> None:
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
