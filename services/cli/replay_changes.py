"""Recorded turns asked again with a change: the options as a change, and the whole experiment on one run."""

import asyncio
import math
import os
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, TypeVar

import services
from services.cli.exit_codes import CommandError, Exit
from services.cli.gateway_url import endpoints, root_folder
from services.cli.replaying import OUTAGES, Declared, governance
from services.cli.terminal import Screen, one_line
from shared.bus.admin import await_kafka
from shared.config import Settings, settings_of
from shared.errors import LogDamaged, Misconfigured
from shared.replay.changed.change import Change, Unusable, value_of
from shared.replay.changed.experiment import Experiment
from shared.replay.changed.live import LiveModel
from shared.replay.changed.report import ChangedReport
from shared.replay.reading import Logs, RecordedRun

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Everything that the options say."""

    run_id: str
    change: Change
    agents: Sequence[str]
    """Agents to ask; empty: all that the change concerns."""
    modules: Sequence[str]
    tries: int
    budget_usd: float


def change_of(model: str, prompts: Sequence[str], tools: Sequence[str], settings: Sequence[str]) -> Change:
    """Return the change that the options describe. Raises CommandError."""
    try:
        return Change(
            model,
            {agent: _file(path) for agent, path in map(_pair, prompts)},
            {tool: _text(text) for tool, text in map(_pair, tools)},
            _settings(settings),
        )
    except Unusable as wrong:
        raise CommandError(str(wrong), "see docs/replay.md", code=Exit.USAGE) from None


def _pair(given: str) -> tuple[str, str]:
    name, equals, value = given.partition("=")
    if not (name and equals and value):
        raise Unusable(f"`{given}` is not NAME=VALUE")
    return name, value


def _file(path: str) -> Path:
    try:
        Path(path).read_text()
    except (OSError, UnicodeDecodeError) as why:
        raise Unusable(f"`{path}` cannot be read: {why}") from None
    return Path(path)


def _text(given: str) -> str:
    """Return the text, or the contents of the file of that name."""
    return _file(given).read_text() if Path(given).is_file() else given


def _settings(given: Sequence[str]) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = {}
    for where, value in map(_pair, given):
        agent, dot, name = where.partition(".")
        if not (agent and dot and name):
            raise Unusable(f"`{where}` is not AGENT.NAME")
        found.setdefault(agent, {})[name] = value_of(name, value)
    return found


def ask_changed(wanted: Wanted, screen: Screen) -> ChangedReport:
    """Ask the turns of a run again. Raises CommandError."""
    return with_settings(wanted, lambda settings: _asked(wanted, settings, screen))


def with_settings(wanted: Wanted, ask: Callable[[Settings], Coroutine[Any, Any, T]]) -> T:
    """Return what is asked with the settings here. Raises CommandError."""
    if not (math.isfinite(wanted.budget_usd) and wanted.budget_usd > 0):
        raise CommandError("--budget must be more than 0 USD", "such as --budget 2.50", code=Exit.USAGE)
    settings = settings_of({**endpoints(root_folder()), **os.environ}, Settings)
    try:
        return asyncio.run(ask(settings))
    except (LogDamaged, Misconfigured) as damaged:
        raise CommandError(str(damaged)) from None
    except OUTAGES as outage:
        raise CommandError(f"Kafka is unavailable: {outage}", "start it, then repeat", code=Exit.UNREACHABLE) from None


async def recorded_run(wanted: Wanted, settings: Settings) -> RecordedRun:
    """Return the record of the run. Raises CommandError."""
    await await_kafka(settings, 5.0)
    with await Logs.read(settings, governance(settings), lambda each: each == wanted.run_id) as logs:
        recorded = next(logs.runs(), None)
    if recorded is None:
        raise CommandError(f"the logs have no run {one_line(wanted.run_id)}", code=Exit.NOT_FOUND)
    if recorded.recording is None:
        raise CommandError(f"the log of the run is incomplete: {recorded.why}")
    return recorded


async def _asked(wanted: Wanted, settings: Settings, screen: Screen) -> ChangedReport:
    agents = Declared(wanted.modules)
    chosen = chosen_agents(wanted, agents)
    recorded = await recorded_run(wanted, settings)
    async with LiveModel(settings, wanted.change.model, wanted.budget_usd) as live:
        made = await Experiment.prepare(
            recorded, agents, settings, wanted.change, live, chosen=chosen, tries=wanted.tries
        )
        _check_cost(made, wanted, screen)
        return await made.ask(progress_on(screen))


def chosen_agents(wanted: Wanted, agents: Declared) -> Callable[[str], bool]:
    """Return the test of an agent's name. Raises CommandError for names that no agent and no tool has."""
    for name in sorted({*wanted.change.agents_named, *wanted.agents}):
        if name not in agents:
            raise CommandError(f"there is no agent `{name}` here", "--agents names its module", code=Exit.USAGE)
    if wanted.change.tools:
        known = {tool.name for name in core_agents() if name in agents for tool in agents[name].tools}
        known |= {tool.name for each in list(agents.values()) for tool in each.tools}
        if unknown := sorted({*wanted.change.tools} - known):
            raise CommandError(
                f"no agent here has a tool `{unknown[0]}`", "`waggle agents` lists them", code=Exit.USAGE
            )

    def test(name: str) -> bool:
        named = not wanted.agents or name in wanted.agents
        return named and (name not in agents or wanted.change.concerns(agents[name]))

    return test


def core_agents() -> list[str]:
    """Return the names of the agents of Waggle: of the services that declare one."""
    names = [each.name for each in iter_modules(services.__path__)]
    return [name for name in names if find_spec(f"services.{name}.agent") is not None]


def _check_cost(made: Experiment, wanted: Wanted, screen: Screen) -> None:
    """Show the estimate. Raises CommandError if it exceeds the bound."""
    estimate, count = made.estimated_usd, len(made.turns)
    screen.note(f"{count} turns x {wanted.tries} tries: about {estimate:.4f} USD of at most {wanted.budget_usd:g} USD")
    check_bound(made.needed_usd, wanted, "ask fewer --tries or one --agent")


def check_bound(needed_usd: float, wanted: Wanted, otherwise: str) -> None:
    """Raise CommandError if the bound may not suffice."""
    if needed_usd > wanted.budget_usd:
        least = f"{math.ceil(needed_usd * 100) / 100:.2f} USD"
        message = f"{wanted.budget_usd:g} USD may not suffice for all requests, which need {least}: nothing was asked"
        action = f"allow --budget {least.removesuffix(' USD')}, or {otherwise}"
        raise CommandError(message, action, code=Exit.USAGE)


def progress_on(screen: Screen) -> Callable[[int, int], None]:
    """Return the report of progress."""

    def note(done: int, wanted: int) -> None:
        screen.note(f"asked {done} of {wanted}")

    return note
