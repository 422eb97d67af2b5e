"""The group that turns errors into one line on stderr and an exit code."""

import os
from typing import Any

import typer
from typer.core import TyperGroup

from services.cli.exit_codes import ConsoleError, Exit


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
    """Print what is wrong and what to do, without the secrets of this environment."""
    from services.cli.terminal import Screen, one_line  # noqa: PLC0415 -- only a failed command needs them
    from shared.telemetry.redaction import remember, secrets_in, shown  # noqa: PLC0415 -- as above

    remember(secrets_in(os.environ))
    action = one_line(shown(error.action)) if error.action else None
    Screen().complain(one_line(shown(error.message)), action)
