"""Replays of recorded runs from the logs in Kafka, with the failures of reading as errors of the command line."""

import asyncio
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib import import_module

from services.cli.exit_codes import CommandError, Exit
from services.cli.gateway_url import endpoints, root_folder
from shared import bus
from shared.access.people import People
from shared.access.principals import read_principals
from shared.access.settings import AccessSettings
from shared.agent import Agent
from shared.authorization import read_gate
from shared.bus.admin import await_kafka
from shared.config import Settings, settings_of
from shared.errors import LogDamaged
from shared.replay.handoffs import Replayer
from shared.replay.reading import Logs, RecordedRun
from shared.replay.report import RunReplay, replay_run
from shared.runs.governance import Governance

OUTAGES: tuple[type[Exception], ...] = (ConnectionError, *bus.OUTAGES)
"""Failures of reading from Kafka."""

Report = Callable[[RunReplay], None]
"""Receives each run as soon as it is replayed."""


def replay_recorded(run_id: str | None, since: datetime | None, modules: Sequence[str], report: Report) -> None:
    """Replay one run, or all that started since then. Raises CommandError if Kafka is unavailable."""
    running = endpoints(root_folder())
    names = {"kafka": "WAGGLE_KAFKA", "postgres": "WAGGLE_POSTGRES"}  # the latter has the keys of sealed runs
    given = {field: running[name] for field, name in names.items() if name in running and name not in os.environ}
    settings = Settings(**given)  # type: ignore[arg-type]  # a field that is text
    try:
        asyncio.run(_replay(settings, run_id, since, modules, report))
    except LogDamaged as damaged:
        raise CommandError(str(damaged)) from None
    except OUTAGES as outage:
        raise CommandError(f"Kafka is unavailable: {outage}", "start it, then repeat", code=Exit.UNREACHABLE) from None


async def _replay(
    settings: Settings, run_id: str | None, since: datetime | None, modules: Sequence[str], report: Report
) -> None:
    await await_kafka(settings, 5.0)
    replayer = Replayer(Declared(modules), settings)
    with await Logs.read(settings, governance(settings), lambda each: run_id in (None, each)) as logs:
        for recorded in logs.runs():
            if since is None or _started(recorded) >= since:
                report(await replay_run(recorded, replayer))


def _started(recorded: RecordedRun) -> datetime:
    return recorded.recording.changes[0].at if recorded.recording else datetime.max.replace(tzinfo=UTC)


def governance(settings: Settings) -> Governance:
    """Return the gate and the people of the settings."""
    own = settings_of(os.environ, AccessSettings)
    return Governance(read_gate(settings.gate), People(read_principals(own.principals)))


class Declared(dict[str, Agent]):
    """Agents by name: those of `modules`, and those of Waggle, imported when they are needed."""

    def __init__(self, modules: Sequence[str]) -> None:
        super().__init__()
        for each in modules:
            try:
                agent: Agent = import_module(each).agent
            except (ImportError, AttributeError) as why:
                message = f"`{each}` is no module with an agent: {why}"
                raise CommandError(message, "name a module whose `agent` is the agent", code=Exit.USAGE) from None
            self[agent.name] = agent

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or self._found(str(name))

    def _found(self, name: str) -> bool:
        try:
            self[name] = import_module(f"services.{name}.agent").agent
        except ImportError:
            return False
        return True
