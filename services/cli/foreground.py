"""The embedded stack in the foreground, with its endpoints and logs shown."""

import asyncio
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from zlib import crc32

from rich.table import Table
from rich.text import Text

from infra.embedded.child import NotReadyError
from infra.embedded.stack import AlreadyRunningError, Stack, remote_names, service_names, up
from infra.embedded.state import StateFolder
from services.cli.exit_codes import CommandError, Exit
from services.cli.redaction import redacted
from services.cli.start_lines import StartLines, starting_in
from services.cli.terminal import Screen, clean
from shared.errors import Misconfigured
from shared.system.urls import without_password
from shared.telemetry.redaction import Redaction, secrets_in

COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "bright_cyan", "bright_magenta", "bright_green")

LEVEL_STYLES = {"warning": "yellow", "error": "red", "critical": "bold red", "debug": "dim"}

PARTS = {
    "WAGGLE_KAFKA": ("Kafka", "embedded: in memory; drops the oldest messages beyond 5 MB per partition"),
    "WAGGLE_REDIS": ("Redis", "embedded"),
    "WAGGLE_POSTGRES": ("Postgres", "embedded"),
    "WAGGLE_SMTP": ("Mail", "embedded: mail stays on this machine, in .waggle/mailbox/"),
    "OPENAI_BASE_URL": ("Model", "simulated by rules, not a language model"),
}
"""Variable of an endpoint → its name, and a note for one that was started here."""


def run(screen: Screen, root: Path, services: Sequence[str] | None, *, quiet: bool) -> None:
    """Run everything until SIGINT or SIGTERM. Raises CommandError if a part cannot be started, or its data are lost."""
    starting = starting_in(os.environ)
    try:
        check_names(services or ())
        stack = Stack(root, services=services, report=_logs(screen, starting, quiet=quiet))
    except Misconfigured as wrong:
        raise CommandError(str(wrong), "correct the file; docs/a2a.md describes it", code=Exit.USAGE) from None
    screen.say(f"Starting in {root} …")
    try:
        asyncio.run(up(root, announce=lambda ready: _announce(screen, starting, ready), stack=stack))
    except AlreadyRunningError as error:
        raise CommandError(str(error), "use it, or stop it with `waggle down`", code=Exit.USAGE) from None
    except (NotReadyError, ConnectionError, Misconfigured) as error:
        screen.say(redacted(str(error)))
        raise CommandError("the stack could not be started", f"see above, and {root}/.waggle/logs/") from None
    if stack.lost:
        raise CommandError("a process ended and its data are lost", "see above; `waggle up` starts a new stack")
    screen.say("Stopped.")


def runs_here(root: Path) -> bool:
    """Return true if a `waggle up` of this folder is running."""
    return StateFolder(root).supervisor() is not None


def check_names(services: Sequence[str]) -> None:
    """Check the names of services. Raises CommandError for an unknown one, and Misconfigured."""
    known = [*service_names(), *remote_names(os.environ)]
    for name in services:
        if name not in known:
            raise CommandError(f"there is no service `{name}`", f"choose from {', '.join(known)}", code=Exit.USAGE)


def _announce(screen: Screen, starting: StartLines, ready: Stack) -> None:
    """Show the endpoints and the next command, and from now on every line."""
    starting.ready = True
    show(screen, ready.endpoints)
    screen.say("Ready. In another terminal: waggle submit 'What …?'. Ctrl-C stops everything.", style="bold")


def show(screen: Screen, endpoints: dict[str, str]) -> None:
    """Show the endpoints."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for variable, (name, embedded) in PARTS.items():
        if address := endpoints.get(variable):
            note = f"from {variable}" if os.environ.get(variable) else embedded
            table.add_row(Text(name, style="bold"), without_password(address), note)
    if gateway := endpoints.get("WAGGLE_GATEWAY"):
        table.add_row(Text("Gateway", style="bold"), gateway, f"API documentation at {gateway}/docs")
    if console := endpoints.get("WAGGLE_CONSOLE_URL"):
        table.add_row(Text("Console", style="bold"), console, "open in a browser: runs, and questions to decide")
    screen.say(table)


def _logs(screen: Screen, starting: StartLines, *, quiet: bool) -> Callable[[str, str], None]:
    """Return a function that shows one log line of a process, after its name."""
    redact = Redaction(secrets_in(os.environ)).text

    def say(name: str, line: str) -> None:
        if starting.hides(name, line):
            return
        colour = COLOURS[crc32(name.encode()) % len(COLOURS)]
        text, style = readable(redact(line))
        screen.say(Text.assemble((f"{name:<14}", colour), (clean(text), style)))

    return (lambda name, line: None) if quiet else say


def readable(line: str) -> tuple[str, str]:
    """Return a log line as text, and its style. Of a JSON line, the event and its fields."""
    try:
        entry = json.loads(line)
        event, level = str(entry.pop("event")), str(entry.pop("level", "info"))
    except (ValueError, AttributeError, KeyError, TypeError):
        return line, ""
    details = [f"{name}={value}" for name, value in entry.items() if name not in {"service", "timestamp"}]
    return "  ".join([event, *details]), LEVEL_STYLES.get(level, "")
