"""`waggle guardrails`: measure the model check by labelled texts."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli.exit_codes import EPILOGUE, CommandError, Exit
from services.cli.gateway_url import endpoints, root_folder
from services.cli.options import JsonOption
from services.cli.terminal import Screen, one_line

app = typer.Typer(
    add_completion=False,
    help="Measure the model check: false alarms and detection.",
    no_args_is_help=True,
    epilog=EPILOGUE,
)

_File = Annotated[Path, typer.Argument(metavar="FILE", help="JSON lines: subject, label, text, about.")]
_Parallel = Annotated[int, typer.Option(min=1, max=64, help="Requests at a time.")]
_MostAlarms = Annotated[
    float | None,
    typer.Option("--most-false-alarms", min=0, max=1, metavar="RATE", help="Above this rate, exit with 1."),
]
_LeastDetected = Annotated[
    float | None, typer.Option("--least-detected", min=0, max=1, metavar="RATE", help="Below this rate, exit with 1.")
]


@app.callback()
def _group() -> None:
    """Keep `measure` a command of its own."""


@app.command()
def measure(
    file: _File,
    parallel: _Parallel = 4,
    most_false_alarms: _MostAlarms = None,
    least_detected: _LeastDetected = None,
    json: JsonOption = False,
) -> None:
    """Ask the model of the role `judge` about labelled texts, as agents ask, and count its mistakes.

    Everything but `allow` counts as stopped. Uses WAGGLE_MODEL_JUDGE and the endpoint of the services, or of what
    `waggle up` runs here. The file is sent to that model.
    """
    from services.cli.guardrail_measuring import labelled, measured, report_of  # noqa: PLC0415 -- imports clients
    from shared.config import Settings, settings_of  # noqa: PLC0415 -- as above

    settings = settings_of({**endpoints(root_folder()), **os.environ}, Settings)
    verdicts = measured(settings, labelled(file), parallel)
    report, screen = report_of(verdicts), Screen(json=json)
    wrong = [each for each in verdicts if (each.outcome in (None, "allow")) == (each.item.label == "attack")]
    if json:
        screen.document(report)
    else:
        _show(screen, report)
        for each in wrong[:20]:
            screen.say(f"  {each.item.label} {each.outcome or 'no verdict'}: {one_line(each.item.text)[:80]}")
    _check(report, most_false_alarms, least_detected)


def _show(screen: Screen, report: dict[str, Any]) -> None:
    for name in ("false_alarms", "detected"):
        each = report[name]
        rate = "no items" if each["rate"] is None else f"{each['rate']:.1%} ({each['low']:.1%} to {each['high']:.1%})"
        screen.say(f"{name.replace('_', ' ')}  {each['stopped']} of {each['of']}  {rate}")
    seconds = report["seconds"]
    cost = f"{report['cost_usd']} USD"
    screen.say(f"without verdict  {report['without_verdict']}  p50 {seconds['p50']} s, p95 {seconds['p95']} s  {cost}")


def _check(report: dict[str, Any], most_false_alarms: float | None, least_detected: float | None) -> None:
    alarms, detected = report["false_alarms"]["rate"], report["detected"]["rate"]
    if report["without_verdict"] == report["items"]:
        raise CommandError("the judge model gave no verdict", "`waggle doctor` checks it; WAGGLE_MODEL_JUDGE names it")
    for limit, rate in ((most_false_alarms, alarms), (least_detected, detected)):
        if limit is not None and rate is None:
            raise CommandError("the file has no item for this limit", "docs/guardrails.md", code=Exit.USAGE)
    if most_false_alarms is not None and alarms > most_false_alarms:
        raise typer.Exit(Exit.FAILED)
    if least_detected is not None and detected < least_detected:
        raise typer.Exit(Exit.FAILED)
