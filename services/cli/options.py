"""Options and arguments that commands share."""

import getpass
from typing import Annotated

import typer

SHORTEST_DIGEST = 8
"""Characters of a digest's beginning that identify it."""

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="Run id, as `waggle runs` lists it.")]
GatewayOption = Annotated[
    str | None,
    typer.Option(
        "--gateway",
        metavar="URL",
        help="Address of the gateway. Default: WAGGLE_GATEWAY, else the one `waggle up` started here.",
    ),
]
TenantOption = Annotated[str, typer.Option("--tenant", metavar="NAME", help="Tenant that owns the runs.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON to stdout; messages for people go to stderr.")]
ByOption = Annotated[
    str | None,
    typer.Option("--by", metavar="NAME", help="Author to record, unless WAGGLE_KEY is set. Default: your user name."),
]


def author(given: str | None) -> str:
    """Return the author to record: the given one, else the user name."""
    try:
        return given or getpass.getuser()
    except (KeyError, OSError):
        return "command line"


def digest_prefix(given: str | None) -> str | None:
    """Check an option that takes a digest or its beginning. Raises BadParameter."""
    if given is not None and len(given) < SHORTEST_DIGEST:
        raise typer.BadParameter(f"at least the first {SHORTEST_DIGEST} characters are needed")
    return given
