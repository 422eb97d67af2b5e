"""Report of a run that was played again: share of branches that are the same, and where and how the others differ."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.evaluation.statistics import wilson
from shared.replay.outcome import Difference, Outcome, shown
from shared.replay.whole.course import Course
from shared.replay.whole.stops import MISS, BranchStopped


@dataclass(frozen=True, slots=True)
class PlayedBranch:
    """One branch, compared with the record."""

    course: Course
    differences: Sequence[Difference]
    stopped: BranchStopped | None
    answered: int
    """Calls that were answered from the record."""
    spent_usd: float
    """Cost of the live model."""
    prompts: Sequence[Difference] = ()
    """Differences of prompts before the chosen turn from the recorded ones."""

    @property
    def outcome(self) -> Outcome:
        """`differs` if it does, also by asking for what is not on record; `unknown` if it was ended otherwise."""
        if self.differences or (self.stopped is not None and self.stopped.kind == MISS):
            return Outcome.DIFFERS
        return Outcome.UNKNOWN if self.stopped is not None else Outcome.SAME

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "outcome": self.outcome.value,
            "stopped": self.stopped.document() if self.stopped else None,
            **self.course.counts(),
            "answered": self.answered,
            "spent_usd": round(self.spent_usd, 6),
            "differences": [_difference(each) for each in self.differences],
            "prompts": [_difference(each) for each in self.prompts],
        }


@dataclass(frozen=True, slots=True)
class WholeReport:
    """All branches of one run."""

    run_id: str
    change: dict[str, Any]
    begins: dict[str, Any] | None
    """The chosen turn; None: the task."""
    recorded: Course
    recorded_calls: int
    control: PlayedBranch
    """The branch with all recorded replies: its differences are of the method, and not of a model."""
    branches: Sequence[PlayedBranch]
    estimated_usd: float
    spent_usd: float
    budget_usd: float
    tries: int = field(default=1)

    @property
    def outcome(self) -> Outcome:
        """The worst outcome of a branch; `unknown` without any."""
        found = {each.outcome for each in self.branches}
        if Outcome.DIFFERS in found:
            return Outcome.DIFFERS
        return Outcome.SAME if found == {Outcome.SAME} and len(self.branches) == self.tries else Outcome.UNKNOWN

    def document(self) -> dict[str, Any]:
        """Return the report as JSON."""
        kinds = Counter(kind for each in self.branches for kind in {one.what for one in each.differences})
        return {
            "run_id": self.run_id,
            "outcome": self.outcome.value,
            "change": self.change,
            "from_turn": self.begins,
            "tries": self.tries,
            "estimated_usd": round(self.estimated_usd, 6),
            "spent_usd": round(self.spent_usd, 6),
            "budget_usd": self.budget_usd,
            "recorded": self.recorded.counts() | {"answers": self.recorded_calls},
            "control": self.control.document(),
            "total": {
                "same": self._share(Outcome.SAME),
                "ended": _share(sum(each.stopped is None for each in self.branches), len(self.branches)),
                "states": dict(Counter(each.course.state for each in self.branches if each.stopped is None)),
                "differences": dict(sorted(kinds.items())),
            },
            "branches": [each.document() for each in self.branches],
        }

    def _share(self, outcome: Outcome) -> dict[str, Any]:
        return _share(sum(each.outcome is outcome for each in self.branches), len(self.branches))


def _share(number: int, of: int) -> dict[str, Any]:
    low, high = wilson(number, of)
    return {"number": number, "of": of, "low": round(low, 4), "high": round(high, 4)}


def _difference(one: Difference) -> dict[str, str]:
    return {
        "what": one.what,
        "where": one.where,
        "recorded": shown(one.recorded),
        "replayed": shown(one.replayed),
    }
