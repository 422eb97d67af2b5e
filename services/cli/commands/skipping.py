"""`waggle topics skip`: gives up a batch that no client can read."""

from typing import Annotated

import typer

from services.cli.commands.steering import ByOption, author
from services.cli.options import GatewayOption, JsonOption, connect
from services.cli.terminal import Screen, one_line


def skip(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="Without the prefix: tasks, agents.data.")],
    partition: Annotated[int, typer.Argument(metavar="PARTITION", min=0)],
    offset: Annotated[int, typer.Option(min=0, help="An offset in the batch, as /ready of the service names it.")],
    reason: Annotated[str, typer.Option(help="Why; it is kept with the order.")],
    by: ByOption = None,
    gateway: GatewayOption = None,
    json: JsonOption = False,
) -> None:
    """Skip a batch that cannot be read: its records are given up, and the services held there continue behind it."""
    with connect(gateway, None) as client:
        found = client.skip(topic, partition, offset=offset, by=author(by), reason=reason)
    screen = Screen(json=json)
    if json:
        screen.document(found)
    else:
        extent = f"{found.get('first')} to {int(found.get('end', 1)) - 1}"
        screen.say(f"Skipped: {one_line(topic)}/{partition}, offsets {extent}. Services continue within seconds.")
