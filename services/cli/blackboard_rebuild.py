"""A rebuild of the blackboard, with its failures as errors of the command line."""

import asyncio
import os

from services.cli.exit_codes import CommandError, Exit
from services.cli.gateway_url import endpoints, root_folder
from services.cli.terminal import Screen
from shared import blackboard, bus
from shared.blackboard import Sentinel
from shared.bus.admin import await_kafka
from shared.bus.held import Unreadable
from shared.config import Settings
from shared.errors import BlackboardLost
from shared.service.rebuild import Report, rebuild
from shared.telemetry.logs import start_logging
from shared.telemetry.redaction import secrets_of

_OUTAGES: tuple[type[Exception], ...] = (ConnectionError, *bus.OUTAGES, *blackboard.OUTAGES)

_REPEAT = "services wait until a rebuild has succeeded, so repeat the command"

_NAMES = {
    "WAGGLE_KAFKA": "kafka",
    "WAGGLE_REDIS": "redis",
    "WAGGLE_POSTGRES": "postgres",
    "WAGGLE_SEAL": "seal",
}
"""Settings of a stack here. Keys of runs are in Postgres: without them the logs cannot be read."""


def rebuild_blackboard(screen: Screen, *, quiet: bool) -> Report:
    """Rebuild the blackboard.

    Raises CommandError if a server is unavailable, a log cannot be read, or another rebuild is in progress.
    """
    settings = _settings()
    start_logging("WARNING", "cli", secrets_of(settings))  # to stderr: stdout is for the report
    try:
        report = asyncio.run(_rebuild(settings, screen, quiet=quiet))
    except BlackboardLost as lost:
        raise CommandError(str(lost), _REPEAT) from None
    except Unreadable as damaged:
        raise CommandError(f"the log {damaged}", f"after that, {_REPEAT}") from None
    except _OUTAGES as outage:
        message = f"Kafka or Redis is unavailable: {outage}"
        raise CommandError(message, f"start it; {_REPEAT}", code=Exit.UNREACHABLE) from None
    if report is None:
        raise CommandError("another rebuild is in progress", "wait for it; `waggle topics` shows when work resumes")
    return report


def _settings() -> Settings:
    """Return the settings of the environment, with the servers of a stack here where none are set."""
    running = endpoints(root_folder())
    given = {name: running[key] for key, name in _NAMES.items() if key in running and key not in os.environ}
    return Settings(**given)  # type: ignore[arg-type]  # two fields that are text


async def _rebuild(settings: Settings, screen: Screen, *, quiet: bool) -> Report | None:
    await await_kafka(settings, 5.0)
    sentinel = Sentinel(settings.redis, blackboard.tls(settings))
    try:
        return await rebuild(sentinel, settings, lambda _, sentence: None if quiet else screen.say(sentence))
    finally:
        await sentinel.close()
