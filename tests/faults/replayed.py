"""Replay of the runs of a world: every decision that is on record must be reached again."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

from shared.access.people import People
from shared.authorization import read_gate
from shared.config import Settings, settings_of
from shared.replay.handoffs import Replayer
from shared.replay.outcome import Outcome
from shared.replay.reading import Logs
from shared.replay.report import RunReplay, replay_run
from shared.runs.governance import Governance
from tests.faults.agents import agent_of
from tests.faults.world import AGENTS, World


@dataclass(slots=True)
class Replayed:
    """Counts of replays."""

    outcomes: Counter[str] = field(default_factory=Counter)
    parts: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    """Each decision that was not reached again."""

    def add(self, replay: RunReplay) -> None:
        """Count one run."""
        self.outcomes[replay.outcome.value] += 1
        self.parts.update(replay.counts)
        self.unknown.update(why for _, why in replay.unknown)
        if replay.why:
            self.unknown[replay.why] += 1
        for at, each in replay.differences:
            self.problems.append(f"{replay.run_id} {at}: {each.what} {each.where}: {each.recorded} -> {each.replayed}")

    @property
    def counted(self) -> str:
        """As one line."""
        outcomes = ", ".join(f"{self.outcomes[each.value]} {each.value}" for each in Outcome)
        parts = ", ".join(f"{count} {part}" for part, count in self.parts.items())
        unknown = "".join(f"; unknown: {count} {why}" for why, count in self.unknown.most_common(5))
        return f"replayed {self.outcomes.total()} runs: {outcomes}; {parts}{unknown}"


async def replay_runs(world: World, wanted: Collection[str], total: Replayed) -> None:
    """Replay these runs of the world from its logs, and add them to the counts."""
    settings = settings_of(world.environment, Settings)
    replayer = Replayer({name: agent_of(name) for name in AGENTS}, settings)
    governance = Governance(read_gate(settings.gate), People())
    with await Logs.read(settings, governance, lambda run: run in wanted) as logs:
        for recorded in logs.runs():
            total.add(await replay_run(recorded, replayer))
