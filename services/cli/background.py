"""A stack in the background, for as long as a command needs it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from services.cli.commands.stack import DOWN, FOREGROUND, embedded
from services.cli.exit_codes import CommandError
from services.cli.gateway_url import STATE, endpoints, gateway_address
from services.cli.terminal import Screen


class Addresses(NamedTuple):
    """Addresses of a swarm; no console if none is known."""

    gateway: str
    console: str | None


@contextmanager
def background(screen: Screen, root: Path, documents: Path, *, keep: bool) -> Iterator[Addresses]:
    """Yield a swarm's addresses: that of WAGGLE_GATEWAY, else those of a stack here, which is started if necessary.

    A stack that was started is stopped at the end unless `keep` is set.
    """
    if given := os.environ.get("WAGGLE_GATEWAY"):
        screen.note("Using the swarm at WAGGLE_GATEWAY. Its research agent needs the runbooks.")
        yield Addresses(gateway_address(given), os.environ.get("WAGGLE_CONSOLE_URL"))
        return
    running = endpoints(root)
    if "WAGGLE_GATEWAY" in running and embedded(FOREGROUND).runs_here(root):
        screen.note("Using the stack that runs here. It searches the documents it was started with.")
        addresses = _addresses(running)
        yield addresses
        _show_next_steps(screen, addresses, kept=True)
        return
    started = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    embedded(DOWN).down(root)
    process = _start(root, documents)
    try:
        with screen.busy("Starting Kafka, Redis, Postgres, a mail sink, a model and the services …"):
            found = _await_ready(process, root)
        screen.say(f"Ready after {time.monotonic() - started:.1f} s:")
        embedded(FOREGROUND).show(screen, found)
        addresses = _addresses(found)
        yield addresses
        _show_next_steps(screen, addresses, kept=keep)
    finally:
        if not (keep and process.poll() is None and endpoints(root)):
            _stop(process, root)


def _start(root: Path, documents: Path) -> subprocess.Popen[bytes]:
    environment = os.environ | {"WAGGLE_DOCUMENTS": _with_documents(documents)}
    command = [sys.executable, "-m", "services.cli", "up", "--quiet"]
    with _log(root).open("wb") as log:
        return subprocess.Popen(  # noqa: S603 -- this very program
            command, cwd=root, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )


def _with_documents(documents: Path) -> str:
    given = os.environ.get("WAGGLE_DOCUMENTS")
    return ",".join(filter(None, (given, f"*={documents}")))


def _log(root: Path) -> Path:
    folder = root / STATE / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / "up.log"


def _await_ready(process: subprocess.Popen[bytes], root: Path) -> dict[str, str]:
    from infra.progress import Progress  # noqa: PLC0415 -- an optional extra

    progress = Progress(_log(root))
    while process.poll() is None and not progress.stuck(process.pid):
        found = endpoints(root)
        if "WAGGLE_GATEWAY" in found:
            return found
        if line := progress.due():
            Screen().note(line)
        time.sleep(0.1)
    why = progress.why(process.returncode)
    raise CommandError(f"the stack could not be started: `waggle up` {why}", f"see {_log(root)}")


def _stop(process: subprocess.Popen[bytes], root: Path) -> None:
    process.terminate()
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        embedded(DOWN).down(root)


def _addresses(found: Mapping[str, str]) -> Addresses:
    return Addresses(found["WAGGLE_GATEWAY"], found.get("WAGGLE_CONSOLE_URL"))


def _show_next_steps(screen: Screen, at: Addresses, *, kept: bool) -> None:
    if kept:
        console = f"the console at {at.console}, " if at.console else ""
        screen.say(f"Still running. Try: {console}waggle runs, {at.gateway}/docs. Stop it with: waggle down")
    else:
        screen.say("Stopping: this run and the console end with the stack. `waggle demo --keep` keeps both.")
