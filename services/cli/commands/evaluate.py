"""`waggle eval`: run suites of cases, compare two versions, and report pass rates over time."""

from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from secrets import token_hex
from typing import Annotated

import typer

from services.cli.evaluation import stored
from services.cli.evaluation.judging import calibrated, judge_for
from services.cli.evaluation.loading import LoadedSuite, load
from services.cli.evaluation.results import ResultFile, find, folder_for, history, result_file
from services.cli.evaluation.running import Failure, SuiteRunner
from services.cli.exit_codes import EPILOGUE, CommandError, Exit
from services.cli.options import ByOption, JsonOption, author
from services.cli.session import Session, gateway_command
from services.cli.show.evaluations import show_comparison, show_history, show_run, show_trial
from services.cli.terminal import Screen, one_line
from services.cli.times import parse_time_or_age
from shared.evaluation import SuiteRun, by_case, overall
from shared.evaluation import compare as compared
from shared.evaluation.comparing import ALPHA

app = typer.Typer(
    add_completion=False,
    help="Run suites of cases, compare two versions, and report pass rates over time.",
    no_args_is_help=True,
    epilog=EPILOGUE,
)

SuiteArgument = Annotated[Path, typer.Argument(metavar="SUITE", help="The suite's YAML file.")]
RepeatOption = Annotated[int, typer.Option(min=1, max=10_000, help="Trials of each case.")]
ParallelOption = Annotated[int, typer.Option(min=1, max=64, help="Trials at a time.")]
CaseOption = Annotated[
    list[str] | None, typer.Option("--case", metavar="NAME", help="Only this case; may be repeated.")
]
LeastOption = Annotated[
    float | None,
    typer.Option("--least", metavar="RATE", min=0, max=1, help="Least pass rate, such as 0.95; below it, exit with 1."),
]
IdOption = Annotated[
    str | None, typer.Option("--id", metavar="ID", help="Id of an earlier run to resume. Default: a new one.")
]
LabelOption = Annotated[str, typer.Option(metavar="TEXT", help="Version that is tried, such as a commit.")]
LimitOption = Annotated[float, typer.Option("--limit", metavar="SECONDS", min=1, help="Longest time of one trial.")]
OutOption = Annotated[
    Path | None, typer.Option("--results", metavar="FOLDER", help="Results folder. Default: .waggle/evals/.")
]
StoreOption = Annotated[
    bool, typer.Option("--store", help="Store the pass rates in Postgres, too, without the contents of the runs.")
]
ResultArgument = Annotated[str, typer.Argument(help="Id of a run of the suite, or its results file.")]
DropOption = Annotated[
    bool, typer.Option("--fail-on-drop", help="Exit with 1 if fewer trials pass, and not by chance.")
]
AlphaOption = Annotated[float, typer.Option(min=0.0001, max=0.5, help="Level of the test, two-sided.")]


@app.command(name="run", epilog=EPILOGUE)
@gateway_command
def run(
    session: Session,
    suite: SuiteArgument,
    repeat: RepeatOption = 1,
    parallel: ParallelOption = 4,
    case: CaseOption = None,
    least: LeastOption = None,
    id: IdOption = None,
    label: LabelOption = "",
    limit: LimitOption = 900.0,
    results: OutOption = None,
    store: StoreOption = False,
    by: ByOption = None,
) -> None:
    """Run every case of a suite, on the swarm and with the models that it has, and print the pass rates.

    Example: waggle eval run suites/daily-work.yaml --repeat 5 --least 0.95
    """
    loaded = load(suite, case)
    file, record = _record(loaded, folder_for(results), repeat, id, label)
    judge = judge_for(loaded.suite) if _needs_judge(loaded) else None
    if judge and record.calibration is None:
        record = record.model_copy(update={"calibration": calibrated(judge, loaded.suite)})
    if not record.trials:
        file.write(record)
    runner = SuiteRunner(session.client, loaded, file, record, judge, author(by), limit)
    found, failures = _run(session.screen, runner, parallel, suite)
    session.screen.answer(_document(found, file), lambda: show_run(session.screen, found))
    if store:
        stored.store(found)
    _exit(session.screen, found, failures, least, suite)


@app.command(name="compare", epilog=EPILOGUE)
def compare(
    before: ResultArgument,
    after: ResultArgument,
    fail_on_drop: DropOption = False,
    alpha: AlphaOption = ALPHA,
    results: OutOption = None,
    json: JsonOption = False,
) -> None:
    """Compare two runs of a suite, trial by trial: cases lost and gained, with McNemar's test, cost and time.

    Example: waggle eval compare 20261130-0900-1a2b 20261130-1000-3c4d --fail-on-drop
    """
    screen, folder = Screen(json=json), folder_for(results)
    old, new = find(folder, before), find(folder, after)
    if old.suite != new.suite:
        message = f"they are of different suites: {one_line(old.suite)} and {one_line(new.suite)}"
        raise CommandError(message, "name two runs of one suite", code=Exit.USAGE)
    found = compared(old, new)
    if not found.pairs:
        raise CommandError("no trial of one can be paired with one of the other", "run the same cases", code=Exit.USAGE)
    dropped = found.dropped(alpha)
    document = {"before": old.id, "after": new.id, "dropped": dropped, "alpha": alpha} | found.document
    screen.answer(document, lambda: show_comparison(screen, found, old, new))
    if dropped:
        screen.complain(f"fewer trials pass, which chance does not explain (p = {found.p:.4f} < {alpha:g})")
    raise typer.Exit(Exit.FAILED if dropped and fail_on_drop else Exit.COMPLETE)


@app.command(name="report")
def report(
    suite: Annotated[str | None, typer.Argument(metavar="[SUITE]", help="Name of a suite. Default: all.")] = None,
    results: OutOption = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only runs started since then: an ISO time, or an age like 30d.")
    ] = None,
    store: Annotated[bool, typer.Option("--store", help="List what is stored in Postgres.")] = False,
    json: JsonOption = False,
) -> None:
    """List the runs of suites with their pass rates, the oldest first.

    Example: waggle eval report daily-work --since 30d --json
    """
    screen, start = Screen(json=json), parse_time_or_age(since) if since else None
    found = stored.stored(suite, start) if store else history(folder_for(results), suite)
    runs = [each for each in found if start is None or each.started >= start]
    screen.answer([_line(each) for each in runs], lambda: show_history(screen, runs))


def _record(loaded: LoadedSuite, folder: Path, repeat: int, id: str | None, label: str) -> tuple[ResultFile, SuiteRun]:
    """Return the file of the results, and what it has. Raises CommandError if an id is of other cases."""
    now = datetime.now(UTC)
    named = id or f"{now:%Y%m%d-%H%M%S}-{token_hex(2)}"
    file = result_file(folder, loaded.suite.suite, named)
    if id is not None and file.path.exists():
        known = file.read()
        if known.digest != loaded.digest:
            message = f"the cases of the run {one_line(id)} were others than those of the file now"
            raise CommandError(message, "run the suite without --id", code=Exit.USAGE)
        return file, known.model_copy(update={"repeat": max(repeat, known.repeat), "label": label or known.label})
    fields = {"id": named, "suite": loaded.suite.suite, "digest": loaded.digest, "label": label, "started": now}
    return file, SuiteRun.model_validate(fields | {"waggle": version("waggle"), "repeat": repeat})


def _needs_judge(loaded: LoadedSuite) -> bool:
    return any(check.judge for each in loaded.cases for check in each.case.expect.answer)


def _run(screen: Screen, runner: SuiteRunner, parallel: int, suite: Path) -> tuple[SuiteRun, list[Failure]]:
    total = len(runner.loaded.cases) * runner.run.repeat
    screen.say(f"Suite {runner.run.suite}, run {runner.run.id}: {len(list(runner.missing()))} of {total} trials to run")
    try:
        return runner.run_all(parallel, lambda trial, count: show_trial(screen, trial, count, total))
    except KeyboardInterrupt:
        message = "interrupted; the runs at work continue, and their trials are kept"
        raise CommandError(message, _resume(runner.run, suite), code=Exit.INTERRUPTED) from None


def _resume(run: SuiteRun, suite: Path) -> str:
    return f"resume with: waggle eval run {one_line(suite)} --id {run.id} --repeat {run.repeat}"


def _exit(screen: Screen, run: SuiteRun, failures: list[Failure], least: float | None, suite: Path) -> None:
    """Exit with the code of the results."""
    if failures:
        first = failures[0]
        message = f"{len(failures)} trials could not be made; {first.case} #{first.number}: {first.error.message}"
        raise CommandError(
            message, f"{first.error.action or 'see the logs'}; {_resume(run, suite)}", code=first.error.code
        )
    rate = overall(run).rate
    if least is not None and rate < least:
        screen.complain(f"the pass rate {rate:.1%} is below {least:.1%}")
        raise typer.Exit(Exit.FAILED)


def _document(run: SuiteRun, file: ResultFile) -> dict[str, object]:
    cases = [score.document for score in by_case(run)]
    judge = run.calibration.model_dump() | {"trusted": run.calibration.trusted} if run.calibration else None
    return _line(run) | {"file": str(file.path), "cases": cases, "judge": judge}


def _line(run: SuiteRun) -> dict[str, object]:
    about = run.model_dump(mode="json", include={"id", "suite", "label", "started", "finished", "repeat"})
    return about | {"score": overall(run).document, "models": run.models, "versions": run.versions}
