"""`waggle rebuild`: make the blackboard again from the logs, by hand."""

import asyncio
import os
from dataclasses import asdict

from services.cli.exit_codes import ConsoleError, Exit
from services.cli.gateway_url import endpoints, root_folder
from services.cli.options import JsonOption
from services.cli.terminal import Screen
from shared import blackboard, bus
from shared.blackboard import Sentinel
from shared.bus.admin import await_kafka
from shared.config import Settings
from shared.errors import BlackboardLost
from shared.service.rebuild import Report
from shared.service.rebuild import rebuild as remake
from shared.telemetry.logs import start_logging
from shared.telemetry.redaction import secrets_of

_AWAY: tuple[type[Exception], ...] = (ConnectionError, *bus.OUTAGES, *blackboard.OUTAGES)

_NAMES = {"WAGGLE_KAFKA": "kafka", "WAGGLE_REDIS": "redis"}


def rebuild(json: JsonOption = False) -> None:
    """Make what Redis holds again from the logs in Kafka; services wait meanwhile, then go on.

    They do it themselves when Redis was emptied or started again. Safe at any time: what Redis has of a run is left
    alone where it is further than the log. Talks to Kafka and Redis directly: WAGGLE_KAFKA and WAGGLE_REDIS, or
    what `waggle up` runs here.
    """
    screen = Screen()
    running = endpoints(root_folder())
    given = {name: running[key] for key, name in _NAMES.items() if key in running and key not in os.environ}
    settings = Settings(**given)  # type: ignore[arg-type]  # two fields that are text
    start_logging("WARNING", "cli", secrets_of(settings))  # to standard error: stdout is for the report
    try:
        report = asyncio.run(_rebuilt(settings, screen, quiet=json))
    except BlackboardLost as lost:
        raise ConsoleError(str(lost), "services wait until a rebuild has succeeded; give the command again") from None
    except _AWAY as away:
        action = "is it running? services wait until a rebuild has succeeded; give the command again"
        raise ConsoleError(f"Kafka or Redis is away: {away}", action, code=Exit.UNREACHABLE) from None
    if report is None:
        raise ConsoleError("somebody else is rebuilding it right now", "`waggle topics` shows when work goes on")
    if json:
        Screen(json=True).document(asdict(report))
    else:
        screen.say(f"Rebuilt: {report}")


async def _rebuilt(settings: Settings, screen: Screen, *, quiet: bool) -> Report | None:
    await await_kafka(settings, 5.0)
    sentinel = Sentinel(settings.redis, blackboard.tls(settings))
    try:
        return await remake(sentinel, settings, lambda _, sentence: None if quiet else screen.say(sentence))
    finally:
        await sentinel.close()
