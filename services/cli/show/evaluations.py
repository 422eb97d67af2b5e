"""Results of suites, printed for a person."""

from collections.abc import Sequence

from rich.text import Text

from services.cli.show.render import heading, plain_table
from services.cli.terminal import Screen, one_line
from shared.evaluation import Comparison, Interval, Score, SuiteRun, Trial, by_case, overall
from shared.evaluation.comparing import Difference

MOST_PROBLEMS = 3
"""Different problems of a case that are printed."""


def show_trial(screen: Screen, trial: Trial, count: int, total: int) -> None:
    """Print a trial as it ends."""
    outcome = "passed" if trial.passed else f"failed: {one_line(trial.problems[0], 160)}"
    line = f"{count:>4}/{total}  {trial.case} #{trial.number}  {trial.seconds:.1f} s  {outcome}"
    screen.say(Text(line, style="" if trial.passed else "red"))


def show_run(screen: Screen, run: SuiteRun) -> None:
    """Print the scores of a run of a suite, and the problems of its cases."""
    heading(screen, f"Suite {run.suite}, run {run.id}")
    rows = plain_table("case", "passed", "rate", "95 % interval", "mean cost", "median time", right=1)
    scores = [*by_case(run), overall(run)]
    for score in scores:
        rows.add_row(*_score_cells(score))
    screen.say(rows)
    for score in scores[:-1]:
        for problem in score.problems[:MOST_PROBLEMS]:
            screen.say(Text(f"{score.name}: {one_line(problem, 300)}", style="red"))
    show_judge(screen, run)


def show_judge(screen: Screen, run: SuiteRun) -> None:
    """Print how far the judge model can be trusted."""
    found = run.calibration
    if found is None:
        return
    if not found.graded:
        screen.note("The judge is uncalibrated: the suite has no answers that people have judged.")
        return
    line = f"The judge agrees with people on {found.agreed} of {found.graded} answers ({_interval(found.interval)})"
    screen.say(line) if found.trusted else screen.note(f"{line}: too few, do not trust it")


def show_comparison(screen: Screen, found: Comparison, before: SuiteRun, after: SuiteRun) -> None:
    """Print the differences between two runs of a suite."""
    heading(screen, f"{before.id} → {after.id}")
    screen.say(f"  {found.passed_before} → {found.passed_after} of {found.pairs} pairs of trials pass")
    screen.say(f"  {found.lost} lost, {found.gained} gained; McNemar's exact test: p = {found.p:.4f}")
    screen.say(f"  cost of a trial ${_difference(found.cost_usd, 4)}")
    screen.say(f"  time of a trial {_difference(found.seconds, 2)} s")
    for each in found.cases:
        style = "red" if each.lost > each.gained else "green"
        screen.say(Text(f"  {each.case}: {each.lost} lost, {each.gained} gained", style=style))
    if found.changed:
        screen.note(f"Not compared, since they have changed: {', '.join(found.changed)}")
    if found.unpaired:
        screen.note(f"With trials in one run alone: {', '.join(found.unpaired)}")


def show_history(screen: Screen, runs: Sequence[SuiteRun]) -> None:
    """Print one line for each run of a suite, the oldest first."""
    rows = plain_table(
        "started", "suite", "run", "label", "passed", "rate", "95 % interval", "mean cost", "models", right=3
    )
    for run in runs:
        score = overall(run)
        ended = "" if run.finished else " (unfinished)"
        passed = f"{score.passed}/{score.trials}{ended}"
        cost = f"${score.cost_usd:.4f}"
        start = f"{run.started:%Y-%m-%d %H:%M}"
        models = one_line(", ".join(run.models), 60)
        rate = f"{score.rate:.1%}"
        rows.add_row(
            start, run.suite, run.id, one_line(run.label, 40), passed, rate, _interval(score.interval), cost, models
        )
    screen.say(rows if runs else "  No results.")


def _score_cells(score: Score) -> tuple[str, ...]:
    passed = f"{score.passed}/{score.trials}"
    return (
        score.name,
        passed,
        f"{score.rate:.1%}",
        _interval(score.interval),
        f"${score.cost_usd:.4f}",
        f"{score.seconds:.1f} s",
    )


def _interval(interval: Interval) -> str:
    return f"{interval.low:.1%}–{interval.high:.1%}"


def _difference(found: Difference, digits: int) -> str:
    low, high = found.interval
    return f"{found.before:.{digits}f} → {found.after:.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})"
