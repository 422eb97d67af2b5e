"""`waggle topics skip`: skip a batch that no client can read."""

from typing import Annotated

import typer

from services.cli.options import ByOption, author
from services.cli.session import Session, operator_command
from services.cli.terminal import one_line


@operator_command
def skip(
    session: Session,
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="Topic without its prefix, such as agents.data.")],
    partition: Annotated[int, typer.Argument(metavar="PARTITION", min=0, help="Partition that is held.")],
    offset: Annotated[
        int, typer.Option(metavar="OFFSET", min=0, help="An offset in the batch, as the service's /ready reports it.")
    ],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Reason, recorded with the command.")],
    by: ByOption = None,
) -> None:
    """Skip a batch that no client can read, or a record whose key is missing. Services held there continue behind it.

    Example: waggle topics skip tasks 0 --offset 17 --reason "corrupt batch"
    """
    found = session.client.skip(topic, partition, offset=offset, by=author(by), reason=reason)
    extent = f"{found.first} to {found.end - 1}"
    skipped = f"Skipped: {one_line(topic)}/{partition}, offsets {extent}. Services continue within seconds."
    session.screen.answer(found, skipped)
