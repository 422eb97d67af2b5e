"""Report of one replayed run."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from shared.replay.changes import ChangeReplay, replay_changes
from shared.replay.handoffs import HandoffReplay, Replayer
from shared.replay.outcome import Difference, Outcome, shown
from shared.replay.reading import RecordedRun


@dataclass(frozen=True, slots=True)
class RunReplay:
    """One run, replayed: each change of its state, and each handoff to an agent."""

    run_id: str
    changes: Sequence[ChangeReplay]
    handoffs: Sequence[HandoffReplay]
    why: str = ""
    """Reason why it could not be replayed at all; empty if it could."""

    @property
    def outcome(self) -> Outcome:
        """The worst outcome of its parts."""
        found = {*(each.outcome for each in self.changes), *(each.outcome for each in self.handoffs)}
        if Outcome.DIFFERS in found:
            return Outcome.DIFFERS
        return Outcome.UNKNOWN if self.why or Outcome.UNKNOWN in found else Outcome.SAME

    @property
    def differences(self) -> Iterator[tuple[str, Difference]]:
        """Yield each difference with its part."""
        for change in self.changes:
            yield from ((f"change {change.number}", each) for each in change.differences)
        for handoff in self.handoffs:
            yield from ((handoff.handoff.id, each) for each in handoff.differences)

    @property
    def unknown(self) -> Iterator[tuple[str, str]]:
        """Yield each part that could not be replayed, with the reason."""
        for change in self.changes:
            if change.outcome is Outcome.UNKNOWN:
                yield f"change {change.number}", "the message that caused it is no longer retained"
        for handoff in self.handoffs:
            if handoff.outcome is Outcome.UNKNOWN:
                yield handoff.handoff.id, handoff.why

    @property
    def counts(self) -> dict[str, int]:
        """Numbers of what was decided again."""
        return {
            "changes": len(self.changes),
            "handoffs": len(self.handoffs),
            "turns": sum(len(each.turns) for each in self.handoffs),
            "verdicts": sum(each.verdicts for each in self.handoffs),
        }

    def document(self) -> dict[str, Any]:
        """Return the report as JSON."""
        return {
            "run_id": self.run_id,
            "outcome": self.outcome.value,
            "why": self.why,
            **self.counts,
            "messages_from": dict(Counter(each.source for each in self.changes)),
            "differences": [
                {"at": at, "what": each.what, "where": each.where}
                | {"recorded": shown(each.recorded), "replayed": shown(each.replayed)}
                for at, each in self.differences
            ],
            "unknown": [{"at": at, "why": why} for at, why in self.unknown],
        }


async def replay_run(recorded: RecordedRun, replayer: Replayer) -> RunReplay:
    """Decide everything in a run again."""
    if recorded.recording is None:
        return RunReplay(recorded.run_id, [], [], recorded.why)
    changes = list(replay_changes(recorded.recording))
    handoffs = await replayer.handoffs(changes, recorded.works, recorded.handoffs)
    return RunReplay(recorded.run_id, changes, handoffs)
