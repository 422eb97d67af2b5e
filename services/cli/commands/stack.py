"""`waggle up` and `waggle down`: the whole swarm as processes on this machine."""

from importlib import import_module
from types import ModuleType
from typing import Annotated

import typer

from services.cli.exit_codes import CommandError, Exit
from services.cli.gateway_url import root_folder
from services.cli.terminal import Screen

FOREGROUND = "services.cli.foreground"
DOWN = "infra.embedded.down"

ServicesOption = Annotated[
    str | None, typer.Option(metavar="NAMES", help="Only these services, comma-separated, such as gateway,planner.")
]


def up(
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no logs; .waggle/logs/ has them in any case.")] = False,
    services: ServicesOption = None,
) -> None:
    """Start Kafka, Redis, Postgres, a mail sink, a simulated model and all services here, until Ctrl-C.

    A server named by WAGGLE_KAFKA, WAGGLE_REDIS, WAGGLE_POSTGRES, WAGGLE_SMTP or OPENAI_BASE_URL is used instead of
    starting one. Each agent of another system in the file WAGGLE_REMOTES gets a process, too (docs/a2a.md). The gateway
    listens on WAGGLE_HTTP_PORT if it is set, else on a free port, as everything else does.
    """
    names = None if services is None else [name.strip() for name in services.split(",") if name.strip()]
    embedded(FOREGROUND).run(Screen(), root_folder(), names, quiet=quiet)


def down() -> None:
    """Stop what `waggle up` runs in this folder, including processes left behind by a crash."""
    stopped = embedded(DOWN).down(root_folder())
    Screen().say(f"Stopped: {', '.join(stopped)}" if stopped else "Nothing was running here.")


def embedded(module: str) -> ModuleType:
    """Import a module that starts or stops processes. Raises CommandError if its packages are not installed."""
    try:
        return import_module(module)
    except ModuleNotFoundError as missing:
        action = "pip install 'waggle[embedded]'"
        raise CommandError(f"the package `{missing.name}` is not installed", action, code=Exit.USAGE) from None
