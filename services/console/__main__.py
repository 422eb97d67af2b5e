"""Run the command line: `waggle`, or `python -m services.console`."""

import os

from services.console.app import app
from shared.telemetry.redaction import remember, secrets_in
from shared.urls import bypass_loopback


def main() -> None:
    """Do what the arguments say and leave with one of the exit codes of `services.console.exits`."""
    bypass_loopback(os.environ)
    remember(secrets_in(os.environ))
    app(prog_name="waggle")


if __name__ == "__main__":
    main()
