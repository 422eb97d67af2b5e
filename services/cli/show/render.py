"""Results, runs and lists, printed for a person."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.table import Table
from rich.text import Text

from schemas.acting import ActingCall
from schemas.api.runs import RunSummary, RunView
from schemas.caller_message import Rating
from schemas.conflict import Conflict
from schemas.event import Evaluation
from schemas.task import Artefact, Result, StepSummary, path_of
from services.cli.show.plain_output import spent
from services.cli.terminal import Screen, one_line

SIMULATED = "waggle-simulated"
STYLES = {"done": "green", "running": "cyan", "failed": "red", "asking": "yellow", "waiting": "dim"}
STATE_STYLES = {
    "COMPLETE": "green",
    "FAILED": "red",
    "REJECTED": "red",
    "CANCELLED": "yellow",
    "WAITING_HUMAN": "yellow",
}


def show_result(screen: Screen, result: Result, paths: Sequence[Path] | None, *, steps: bool = True) -> None:
    """Print a result. `paths`: where its artefacts were saved; None if they were not. `steps`: with a table of them."""
    if result.answer:
        heading(screen, "Answer")
        show_answer(screen, result.answer)
    if result.error:
        _show_error(screen, result.error.message, result.error.code, result.error.suggested_action)
    show_artefacts(screen, result, paths)
    show_effects(screen, result)
    show_acting_calls(screen, result.acting_calls)
    if steps:
        show_steps(screen, result.steps)
    if result.doubtful:
        screen.say(Text("Doubtful: nothing useful was found, or the answer is mostly a guess", style="yellow"))
    show_conflicts(screen, result.conflicts)
    for caveat in result.caveats:
        screen.say(Text(f"Caveat: {one_line(caveat)}", style="yellow"))
    _show_total(screen, result)


def show_conflicts(screen: Screen, conflicts: Sequence[Conflict]) -> None:
    """Print what the steps disagree about: the outcome, and each side."""
    if not conflicts:
        return
    heading(screen, "Conflicts between steps")
    for number, each in enumerate(conflicts, 1):
        style, outcome = ("", "resolved") if each.resolved else ("yellow", "open")
        line = f"{number}. {outcome}: {one_line(each.subject)}: {one_line(each.resolution, 300)}"
        screen.say(Text(line, style=style))
        for side in each.positions:
            screen.say(f"   {one_line(side.step_id)}: {one_line(side.says, 300)}")


def show_answer(screen: Screen, answer: str) -> None:
    """Print the answer: rendered on a terminal, as Markdown elsewhere. Links show their address."""
    if not screen.console.is_terminal:
        screen.say(answer)
        return
    from rich.markdown import Markdown  # noqa: PLC0415 -- slow to import, and only answers are Markdown

    screen.say(Markdown(answer, hyperlinks=False))


def show_effects(screen: Screen, result: Result) -> None:
    """Print the calls a dry run has listed, and the command that applies them."""
    if not result.effects or result.effects_digest is None or result.applied_by:
        return
    heading(screen, "Calls not made: this was a dry run")
    for number, effect in enumerate(result.effects, 1):
        screen.say(f"{number}. {one_line(effect.tool)} {one_line(effect.arguments, 300)}")
        screen.say(f"   {effect.risk} risk, {effect.effect}; gate: {effect.verdict}: {one_line(effect.reason)}")
    screen.say(f"Apply with: waggle apply {one_line(result.run_id)} --digest {result.effects_digest[:12]}")


def show_acting_calls(screen: Screen, calls: Sequence[ActingCall]) -> None:
    """Print the calls with effects outside the run, made or not."""
    if not calls:
        return
    heading(screen, "Calls with outside effects")
    for number, call in enumerate(calls, 1):
        detail = call.result if call.outcome == "made" else call.reason
        style = "" if call.outcome == "made" else "yellow"
        line = f"{number}. {call.outcome}: {one_line(call.tool)} {one_line(call.arguments, 200)}"
        screen.say(Text(line, style=style))
        if detail:
            screen.say(f"   {one_line(detail, 200)}")


def show_artefacts(screen: Screen, result: Result, paths: Sequence[Path] | None) -> None:
    """Print the files of a result, and where they are saved."""
    if not result.artefacts:
        return
    heading(screen, "Files")
    for number, artefact in enumerate(result.artefacts):
        screen.say(f"  {_artefact(artefact)}{f'  {one_line(paths[number])}' if paths else ''}")
    if paths is None:
        screen.say(f"  save them: waggle result {one_line(result.run_id)} --save FOLDER")


def show_steps(screen: Screen, steps: Sequence[StepSummary]) -> None:
    """Print a table of steps."""
    if not steps:
        return
    heading(screen, "Steps")
    if path := path_of(steps):
        screen.say(f"Path: {' → '.join(one_line(agent) for agent in path)}")
    table = plain_table("step", "agent", "status", "attempts", "seconds", "tokens", "cost", right=3)
    for step in steps:
        tokens = step.usage.prompt_tokens + step.usage.completion_tokens
        numbers = (str(step.attempts), f"{step.seconds:.1f}", f"{tokens:,}", f"${step.usage.cost_usd:.4f}")
        status = Text(step.status, style=STYLES[step.status])
        table.add_row(one_line(step.id), one_line(step.agent), status, *numbers)
    screen.say(table)
    for step in (each for each in steps if each.must_answer):
        screen.say(Text(f"  {one_line(step.id)}: had to answer: {one_line(step.must_answer)}", style="yellow"))
    for step in (each for each in steps if each.error):
        assert step.error is not None, "filtered above"
        screen.say(Text(f"  {one_line(step.id)}: {one_line(step.error.message)}", style="red"))


def show_status(screen: Screen, run: RunView) -> None:
    """Print the status of a run."""
    screen.say(one_line(run.run_id), style="bold")
    rows = {
        "state": f"{run.state.value}: {one_line(run.reason)}",
        "objective": one_line(run.objective or "", 500),
        "started": _period(run.started, run.finished),
        "deadline": f"{run.deadline.astimezone():%Y-%m-%d %H:%M:%S}" if run.deadline and not run.finished else "",
        "spent": spent(run.usage),
        "models": models(run.models),
    }
    for name, value in rows.items():
        if value:
            screen.say(f"  {name:<10} {value}")
    if run.error:
        _show_error(screen, run.error.message, run.error.code, run.error.suggested_action)
    for said in run.messages:
        screen.say(f"  added      {one_line(said.by)}: {one_line(said.text, 300)}")
    for rating in run.ratings:
        screen.say(f"  feedback   {_rating(rating)}")
    if run.evaluation:
        _show_checks(screen, run.evaluation)
    for each in run.absent:
        seen = f", last seen {each.seen.astimezone():%Y-%m-%d %H:%M:%S}" if each.seen else ""
        found = f"{one_line(each.agent)} does not seem to be running{seen}; its work waits for it"
        screen.say(Text(f"  absent     {found}", style="yellow"))
    for parked in run.parked:
        screen.say(Text(f"  parked     {one_line(parked.agent)}: {one_line(parked.reason)}", style="yellow"))
    show_steps(screen, run.steps)


def _show_checks(screen: Screen, found: Evaluation) -> None:
    passed = [each.name for each in found.checks if each.passed]
    screen.say(f"  checks     passed: {', '.join(passed) or 'none'}")
    for each in found.failed:
        screen.say(Text(f"  check      {each.name} failed: {one_line(each.why, 300)}", style="yellow"))


def _rating(given: Rating) -> str:
    score = f", {given.score} of 5" if given.score else ""
    comment = f": {one_line(given.comment, 300)}" if given.comment else ""
    return f"{one_line(given.person)}: {'solved' if given.solved else 'not solved'}{score}{comment}"


def show_runs(screen: Screen, runs: Sequence[RunSummary], *, filtered: bool) -> None:
    """Print a table of runs in the gateway's order, latest first. `filtered`: others were left out."""
    table = plain_table(
        "run", "state", "started", "seconds", "steps", "cost", "solved", "objective", right=3, left_again=6
    )
    for run in runs:
        end = run.finished or datetime.now(UTC)
        table.add_row(
            one_line(run.run_id),
            Text(one_line(run.state), style=STATE_STYLES.get(run.state, "cyan")),
            f"{run.started.astimezone():%m-%d %H:%M:%S}",
            f"{(end - run.started).total_seconds():.1f}",
            f"{run.steps_done}/{run.steps_total}",
            f"${run.cost_usd:.4f}",
            run.solved or "",
            one_line(run.objective, 60),
        )
        if run.held_up:
            table.add_row(*[""] * 7, Text(f"held up: {one_line(run.held_up, 200)}", style="red"))
    none = "No run matches." if filtered else "No runs yet. Submit one with: waggle submit 'What …?'"
    screen.say(table if runs else none)


def models(names: Sequence[str]) -> str:
    """Return the models' names, with a remark on a simulated one."""
    listed = ", ".join(one_line(name) for name in names)
    return f"{listed} (simulated model: not a language model)" if SIMULATED in names else listed


def seconds(amount: float) -> str:
    """Format a duration for a person."""
    whole = int(amount)
    return f"{amount:.1f} s" if amount < 120 else f"{whole // 60} min {whole % 60} s"


def size(amount: int) -> str:
    """Format a number of bytes for a person."""
    units = ("bytes", 1), ("kB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000)
    name, factor = next(((n, f) for n, f in reversed(units) if amount >= f), units[0])
    return f"{amount} bytes" if factor == 1 else f"{amount / factor:.1f} {name}"


def _period(started: datetime | None, finished: datetime | None) -> str:
    if started is None:
        return ""
    took = ((finished or datetime.now(UTC)) - started).total_seconds()
    return f"{started.astimezone():%Y-%m-%d %H:%M:%S}, {'took' if finished else 'for'} {seconds(took)}"


def _artefact(artefact: Artefact) -> str:
    return f"{one_line(artefact.name)}  {one_line(artefact.media_type)}  {size(artefact.size)}"


def _show_total(screen: Screen, result: Result) -> None:
    state = result.status.upper()
    took = seconds((result.finished - result.started).total_seconds())
    confidence = "" if result.confidence is None else f", confidence {result.confidence:.2f}"
    screen.say("")
    screen.say(Text(f"{state} in {took}, {spent(result.usage)}{confidence}", style=STATE_STYLES[state]))
    screen.say(f"Run {one_line(result.run_id)}")
    if result.models:
        screen.say(f"Models: {models(result.models)}")


def _show_error(screen: Screen, message: str, code: str, action: str | None) -> None:
    screen.say(Text(f"Error: {one_line(message)} [{one_line(code)}]", style="red"))
    if action:
        screen.say(f"       {one_line(action)}")


def heading(screen: Screen, text: str) -> None:
    """Print a heading."""
    screen.say("")
    screen.say(Text(text, style="bold"))


def plain_table(*names: str, right: int, left_again: int = 99) -> Table:
    """Return a table without borders; columns from `right` up to `left_again` are numbers."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for number, name in enumerate(names):
        table.add_column(name, justify="right" if right <= number < left_again else "left", no_wrap=number == 0)
    return table
