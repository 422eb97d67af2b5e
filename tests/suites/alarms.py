"""False alarms of the gate: comparisons of two versions that are the same, drawn from the trials of a recorded run."""

from random import Random
from typing import NamedTuple

from shared.evaluation import SuiteRun, Trial, compare

COMPARISONS = 1_000
SEED = 15


class Alarms(NamedTuple):
    """Alarms in comparisons without a change."""

    repeat: int
    pairs: int
    differing: float
    """Mean of the pairs that differ."""
    alarms: int


def numbered(recorded: SuiteRun, repeat: int) -> list[list[Trial]]:
    """Return, for each case and number, all recorded trials of the case under that number."""
    cases: dict[str, list[Trial]] = {}
    for trial in recorded.trials:
        cases.setdefault(trial.case, []).append(trial)
    same = {"cost_usd": 0.0, "seconds": 0.0}  # their intervals take time, and are no alarm
    return [
        [trial.model_copy(update={"number": number, **same}) for trial in trials]
        for trials in cases.values()
        for number in range(1, repeat + 1)
    ]


def false_alarms(recorded: SuiteRun, repeat: int, comparisons: int = COMPARISONS) -> Alarms:
    """Compare two drawn runs as `waggle eval compare --fail-on-drop` does, and count the alarms."""
    random, trials = Random(SEED), numbered(recorded, repeat)

    def drawn() -> SuiteRun:
        return recorded.model_copy(update={"trials": [random.choice(each) for each in trials]})

    found = [compare(drawn(), drawn()) for _ in range(comparisons)]
    differing = sum(each.lost + each.gained for each in found) / comparisons
    return Alarms(repeat, found[0].pairs, differing, sum(each.dropped() for each in found))
