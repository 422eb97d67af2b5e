"""`waggle apply`: make the calls that a dry run has listed."""

from typing import Annotated

import typer

from schemas.task import Result
from services.cli.exit_codes import CommandError, Exit
from services.cli.options import ByOption, RunArgument, author, digest_prefix
from services.cli.session import Session, gateway_command
from services.cli.terminal import one_line

DigestOption = Annotated[
    str,
    typer.Option(
        "--digest",
        metavar="DIGEST",
        callback=digest_prefix,
        help="Digest of the listed calls, as `waggle result` shows it, or its first 8 or more characters.",
    ),
]


@gateway_command
def apply(session: Session, run: RunArgument, digest: DigestOption, by: ByOption = None) -> None:
    """Apply a dry run: make the calls it has listed, unchanged, in that order, once.

    Example: waggle apply RUN --digest 5f0c9a7d21b4
    """
    shown = _checked_digest(session.client.result(run), digest)
    found = session.client.command(run, "carry-out", by=author(by), digest=shown)
    session.screen.answer(found, f"Applying. Follow with: waggle watch {one_line(run)}")


def _checked_digest(ended: Result, digest: str) -> str:
    """Return the digest of the calls a dry run has listed. Raises CommandError if `digest` is of other calls."""
    look = f"waggle result {ended.run_id}"
    if ended.applied_by:
        message = f"this dry run was already applied, by {one_line(ended.applied_by)}"
        raise CommandError(message, look, code=Exit.ALREADY)
    if ended.effects_digest is None:
        raise CommandError("this run has listed no calls: it was no dry run, or made none", look, code=Exit.USAGE)
    if not ended.effects_digest.startswith(digest):
        raise CommandError("the digest is not that of the calls this run has listed", look, code=Exit.USAGE)
    return ended.effects_digest
