"""Run the command line: `waggle`, or `python -m services.console`."""

from services.console.app import app


def main() -> None:
    """Do what the arguments say and leave with one of the exit codes of `services.console.exits`."""
    app(prog_name="waggle")


if __name__ == "__main__":
    main()
