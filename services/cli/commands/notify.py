"""`waggle notify`: test a channel of notifications, and list the notifications that were given up."""

import asyncio
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import typer

from services.cli.commands.dlq import LimitOption
from services.cli.exit_codes import EPILOGUE, CommandError, Exit
from services.cli.gateway_url import endpoints, root_folder
from services.cli.options import JsonOption
from services.cli.session import Session, operator_command
from services.cli.show.dead_letters import show_list
from services.cli.terminal import Screen, one_line

if TYPE_CHECKING:
    from shared.notify import NotifySettings

app = typer.Typer(
    add_completion=False,
    help="Test channels of notifications, and list the notifications that were given up.",
    no_args_is_help=True,
    epilog=EPILOGUE,
)

TOPIC = "notifications"
"""Topic of notifications: its dead letters are those that no attempt could send."""


@app.command("test", epilog=EPILOGUE)
def send_test(
    channel: Annotated[str, typer.Argument(metavar="CHANNEL", help="Channel of the file WAGGLE_NOTIFY.")],
    json: JsonOption = False,
) -> None:
    """Send a test notification to a channel now, without regard to its digest and quiet hours.

    Uses the environment that the notifier would have here; settings it lacks are taken from a running `waggle up`.
    """
    from shared.config import settings_of  # noqa: PLC0415 -- slow to import
    from shared.notify import NotifySettings  # noqa: PLC0415 -- as above
    from shared.telemetry.redaction import remember, secrets_in  # noqa: PLC0415 -- as above

    environment = {**endpoints(root_folder()), **os.environ}
    remember(secrets_in(environment))
    id = asyncio.run(_send(channel, settings_of(environment, NotifySettings)))
    screen = Screen(json=json)
    found = {"channel": channel, "id": id, "sent": True}
    screen.answer(found, lambda: screen.say(f"{one_line(channel)} has accepted the test notification {id}."))


async def _send(name: str, settings: "NotifySettings") -> str:
    """Send the notification and return its id. Raises Misconfigured, and CommandError if it is not accepted."""
    from schemas.notification import About, Notification  # noqa: PLC0415 -- slow to import
    from shared.notify import NotSent, letter_of, read_notify, send, way_of  # noqa: PLC0415 -- as above

    channels = read_notify(settings.notify).channels
    if name not in channels:
        known = ", ".join(sorted(channels)) or "none"
        raise CommandError(f"there is no channel `{name}`", f"WAGGLE_NOTIFY has: {known}", code=Exit.USAGE)
    notice = Notification(
        id=uuid4().hex,
        channel=name,
        about=About.TEST,
        at=datetime.now(UTC),
        subject="Test of this channel",
        text="An operator tests this channel with `waggle notify test`. There is nothing to do.",
        link=settings.console_url,
    )
    way = way_of(name, channels[name], settings)
    try:
        await send(way, letter_of(notice))
    except NotSent as failed:
        raise CommandError(f"{name} did not accept it: {failed}", "docs/notifications.md has the settings") from None
    finally:
        await way.close()
    return notice.id


@app.command()
@operator_command
def failed(session: Session, limit: LimitOption = 50) -> None:
    """List the notifications that were given up after all attempts, newest first.

    `waggle dlq redrive --topic notifications` sends them once more.
    """
    found = session.client.dead_letters({"topic": TOPIC, "state": "open", "limit": limit})
    session.screen.answer(found, lambda: show_list(session.screen, found))
