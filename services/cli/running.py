"""Runs the embedded stack in the foreground and says what runs where."""

import asyncio
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from zlib import crc32

from rich.table import Table
from rich.text import Text

from infra.embedded.child import NotReadyError
from infra.embedded.stack import AlreadyRunningError, Stack, down, service_names, up
from infra.embedded.state import StateFolder
from services.cli.exit_codes import ConsoleError, Exit
from services.cli.terminal import Screen, clean
from shared.errors import Misconfigured
from shared.system.urls import without_password

__all__ = ["down", "run", "runs_here", "show"]

COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "bright_cyan", "bright_magenta", "bright_green")

LEVEL_STYLES = {"warning": "yellow", "error": "red", "critical": "bold red", "debug": "dim"}

PARTS = {
    "WAGGLE_KAFKA": ("Kafka", "embedded: in memory, at most 5 MB a partition, then the oldest messages are dropped"),
    "WAGGLE_REDIS": ("Redis", "embedded"),
    "WAGGLE_POSTGRES": ("Postgres", "embedded"),
    "WAGGLE_SMTP": ("Mail", "embedded: nothing leaves this machine; mail is kept in .waggle/mailbox/"),
    "OPENAI_BASE_URL": ("Model", "a simulation that follows rules, not a language model"),
}
"""What each address is of, and what must be known about it when it was started here."""


def run(screen: Screen, root: Path, services: Sequence[str] | None, *, quiet: bool) -> None:
    """Run everything until SIGINT or SIGTERM. Raises ConsoleError when something cannot be started, or is lost."""
    check_names(services or ())
    stack = Stack(root, services=services, report=_logs(screen, quiet=quiet))
    screen.say(f"Starting in {root} …")
    try:
        asyncio.run(up(root, announce=lambda ready: announce(screen, ready), stack=stack))
    except AlreadyRunningError as error:
        raise ConsoleError(str(error), "`waggle runs` talks to it", code=Exit.USAGE) from None
    except (NotReadyError, ConnectionError, Misconfigured) as error:
        screen.say(str(error))
        raise ConsoleError("not everything could be started", f"see above, and {root}/.waggle/logs/") from None
    if stack.lost:
        raise ConsoleError("something ended whose content is lost with it", "see above; `waggle up` starts afresh")
    screen.say("Stopped.")


def runs_here(root: Path) -> bool:
    """Whether a `waggle up` of this folder is alive."""
    return StateFolder(root).supervisor() is not None


def check_names(services: Sequence[str]) -> None:
    """Raises ConsoleError for a service that does not exist."""
    for name in services:
        if name not in service_names():
            raise ConsoleError(
                f"there is no service `{name}`", f"there are: {', '.join(service_names())}", code=Exit.USAGE
            )


def announce(screen: Screen, ready: Stack) -> None:
    """Say what runs where, and what can be done with it."""
    show(screen, ready.endpoints)
    screen.say("Ready: waggle submit 'What …?' in another terminal. Ctrl-C stops everything.", style="bold")


def show(screen: Screen, endpoints: dict[str, str]) -> None:
    """What runs where."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for variable, (name, embedded) in PARTS.items():
        if address := endpoints.get(variable):
            note = f"as {variable} names it" if os.environ.get(variable) else embedded
            table.add_row(Text(name, style="bold"), without_password(address), note)
    if gateway := endpoints.get("WAGGLE_GATEWAY"):
        table.add_row(Text("Gateway", style="bold"), gateway, f"API described at {gateway}/docs")
    screen.say(table)


def _logs(screen: Screen, *, quiet: bool) -> Callable[[str, str], None]:
    """Shows one line of a process's log behind its name."""

    def say(name: str, line: str) -> None:
        colour = COLOURS[crc32(name.encode()) % len(COLOURS)]
        text, style = readable(line)
        screen.say(Text.assemble((f"{name:<14}", colour), (clean(text), style)))

    return (lambda name, line: None) if quiet else say


def readable(line: str) -> tuple[str, str]:
    """A line of a log as a person reads it, and its style; of our services' JSON, the event and its details."""
    try:
        entry = json.loads(line)
        event, level = str(entry.pop("event")), str(entry.pop("level", "info"))
    except (ValueError, AttributeError, KeyError, TypeError):
        return line, ""
    details = [f"{name}={value}" for name, value in entry.items() if name not in {"service", "timestamp"}]
    return "  ".join([event, *details]), LEVEL_STYLES.get(level, "")
