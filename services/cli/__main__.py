"""Run the command line: `waggle`, or `python -m services.cli`."""

import os
import sys

from services.cli.app import app
from services.cli.errors import report_defect
from services.cli.exit_codes import Exit
from shared.system.urls import bypass_loopback


def main() -> None:
    """Run the command given as arguments and exit with a code of `services.cli.exit_codes`."""
    bypass_loopback(os.environ)
    try:
        app(prog_name="waggle")
    except Exception as defect:  # noqa: BLE001 -- the interpreter would print it with the secrets it may hold
        report_defect(defect)
        sys.exit(Exit.FAILED)


if __name__ == "__main__":
    main()
