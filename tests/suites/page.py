"""docs/reports/suites.md: what the gate finds, and what it takes for a drop by mistake."""

from collections.abc import Sequence
from pathlib import Path

from shared.evaluation import Comparison, SuiteRun, overall
from tests.evals.page import table
from tests.suites.alarms import COMPARISONS, false_alarms

PAGE = Path(__file__).parents[2] / "docs" / "reports" / "suites.md"

REPEATS = (2, 5, 10, 20)

HEAD = """# Suites

`make evals-gate` runs the [bundled suites](../evaluate.md#guard-a-build) on a swarm of its own, with the simulated
model, and fails below a pass rate of 0.95, or on a drop from the results that `WAGGLE_EVALS_BASELINE` names.
`.venv/bin/python -m tests.suites --report` writes this page; `--planted` shows the gate as it fails.
"""


def write(runs: Sequence[SuiteRun], found: Comparison, seconds: float, noise: SuiteRun) -> None:
    """Write the page."""
    lines = [HEAD, *_passed(runs), "", *_planted(found, seconds), "", *_alarms(noise)]
    PAGE.write_text("\n".join(lines) + "\n")


def _passed(runs: Sequence[SuiteRun]) -> list[str]:
    rows = [
        (f"`{run.suite}`", score.trials, score.passed, f"{score.interval.low:.1%} to {score.interval.high:.1%}")
        for run in runs
        for score in [overall(run)]
    ]
    return table(("suite", "trials", "passed", "95 % interval"), rows)


def _planted(found: Comparison, seconds: float) -> list[str]:
    words = (
        "A sentence is added to the planner's instructions, *Keep plans short: leave out the last step*, which the"
        " simulated model obeys; the planner restarts, and the gate runs again."
    )
    dropped = "yes" if found.dropped() else "no"
    row = (found.pairs, found.lost, found.gained, f"{found.p:.2g}", dropped, f"{seconds:.0f}")
    heads = ("pairs", "lost", "gained", "p", "the build fails", "seconds, both versions and the restart")
    return ["## A planted regression", "", words, "", *table(heads, [row])]


def _alarms(noise: SuiteRun) -> list[str]:
    score = overall(noise)
    words = (
        f"`daily-work` ran {noise.repeat} times with a model that leaves a step out of one plan of five:"
        f" {score.passed} of {score.trials} trials passed. From these trials two runs are drawn {COMPARISONS:,} times,"
        " each case from its own trials, and compared as `waggle eval compare --fail-on-drop` does. An alarm is false,"
        " as both are of one version. At most 1 % is promised for any noise."
    )
    limits = (
        "This holds for trials that are independent of each other. A provider's bad hour lowers the rate of a whole"
        " run, and no comparison of two runs can tell it from a worse version: run the older version again at the same"
        " time."
    )
    found = [false_alarms(noise, repeat) for repeat in REPEATS]
    rows = [
        (each.repeat, each.pairs, f"{each.differing:.1f}", each.alarms, f"{each.alarms / COMPARISONS:.1%}")
        for each in found
    ]
    heads = ("trials of each case", "pairs", "pairs that differ, mean", "false alarms", "share")
    return ["## False alarms", "", words, "", *table(heads, rows), "", limits]
