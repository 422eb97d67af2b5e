"""`waggle rebuild`: rebuild the blackboard from the Kafka logs, by hand."""

import asyncio
import os
from dataclasses import asdict

from services.cli.exit_codes import CommandError, Exit
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

_OUTAGES: tuple[type[Exception], ...] = (ConnectionError, *bus.OUTAGES, *blackboard.OUTAGES)

_REPEAT = "services wait until a rebuild has succeeded, so repeat the command"

_NAMES = {"WAGGLE_KAFKA": "kafka", "WAGGLE_REDIS": "redis"}


def rebuild(json: JsonOption = False) -> None:
    """Rebuild the blackboard in Redis from the Kafka logs. Services wait meanwhile, then continue.

    Rarely needed: services do it themselves when Redis was emptied or restarted. Safe at any time: a run whose state
    in Redis is newer than the log is left as it is. Connects directly to WAGGLE_KAFKA and WAGGLE_REDIS, or to what
    `waggle up` runs here.
    """
    screen = Screen()
    running = endpoints(root_folder())
    given = {name: running[key] for key, name in _NAMES.items() if key in running and key not in os.environ}
    settings = Settings(**given)  # type: ignore[arg-type]  # two fields that are text
    start_logging("WARNING", "cli", secrets_of(settings))  # to standard error: stdout is for the report
    try:
        report = asyncio.run(_rebuild(settings, screen, quiet=json))
    except BlackboardLost as lost:
        raise CommandError(str(lost), _REPEAT) from None
    except _OUTAGES as outage:
        message = f"Kafka or Redis is unavailable: {outage}"
        raise CommandError(message, f"start it; {_REPEAT}", code=Exit.UNREACHABLE) from None
    if report is None:
        raise CommandError("another rebuild is in progress", "wait for it; `waggle topics` shows when work resumes")
    Screen(json=json).answer(asdict(report), f"Rebuilt: {report}")


async def _rebuild(settings: Settings, screen: Screen, *, quiet: bool) -> Report | None:
    await await_kafka(settings, 5.0)
    sentinel = Sentinel(settings.redis, blackboard.tls(settings))
    try:
        return await remake(sentinel, settings, lambda _, sentence: None if quiet else screen.say(sentence))
    finally:
        await sentinel.close()
