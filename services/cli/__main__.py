"""Run the command line: `waggle`, or `python -m services.cli`."""

import os

from services.cli.app import app
from shared.system.urls import bypass_loopback


def main() -> None:
    """Do what the arguments say and leave with one of the exit codes of `services.cli.exit_codes`."""
    bypass_loopback(os.environ)
    app(prog_name="waggle")


if __name__ == "__main__":
    main()
