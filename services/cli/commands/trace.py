"""`waggle trace`: what a run has done so far, without a tracing backend."""

from rich.text import Text
from rich.tree import Tree

from schemas.api.trace import Action, Attempt, RunTrace, Work
from services.cli.options import RunArgument
from services.cli.session import Session, gateway_command
from services.cli.show.plain_output import spent
from services.cli.terminal import Screen, one_line

WIDTH = 100
"""Characters of a description."""

STYLES = {"failed": "red", "refused": "yellow", "wants changes": "yellow", "asks": "yellow", "running": "cyan"}


@gateway_command
def trace(session: Session, run: RunArgument) -> None:
    """Show a run's attempts, turns and calls so far, with their time, tokens and cost, and its trace id."""
    found = session.client.trace(run)
    session.screen.answer(found, lambda: _show(session.screen, found))


def _show(screen: Screen, run: RunTrace) -> None:
    screen.say(_tree(run))
    if run.trace_id:
        screen.say(f"Trace {run.trace_id}")


def _tree(run: RunTrace) -> Tree:
    tree = Tree(Text(f"{run.run_id}  {run.state}  {run.seconds:.1f} s  {spent(run.usage)}{_retries(run.retries)}"))
    for work in run.works:
        branch = tree.add(Text(_work(work)))
        for number, attempt in enumerate(work.attempts, 1):
            below = branch.add(Text(_attempt(run, attempt, number), style=STYLES.get(attempt.status, "")))
            for action in attempt.actions:
                below.add(Text(_action(run, action), style="dim"))
    return tree


def _work(work: Work) -> str:
    name = work.id if work.agent == work.id else f"{work.id} ({work.agent})"
    return f"{one_line(name)}  {work.seconds:.1f} s  {spent(work.usage)}{_retries(work.retries)}"


def _retries(retries: int) -> str:
    return f"  {retries} {'retry' if retries == 1 else 'retries'}" if retries else ""


def _attempt(run: RunTrace, attempt: Attempt, number: int) -> str:
    note = f": {one_line(attempt.note, WIDTH)}" if attempt.note else ""
    code = f" [{one_line(attempt.error.code)}]" if attempt.error else ""
    return f"{_since(run, attempt)}attempt {number} {one_line(attempt.status)}{note}{code}{_took(attempt)}"


def _action(run: RunTrace, action: Action) -> str:
    cost = f"  {one_line(action.model)}, {spent(action.usage)}" if action.usage else ""
    version = f", prompt {one_line(action.versions.prompt)}" if action.versions else ""
    return f"{_since(run, action)}{one_line(action.what, WIDTH)}{_took(action)}{cost}{version}"


def _took(what: Attempt | Action) -> str:
    return "" if what.seconds is None else f"  {what.seconds:.2f} s"


def _since(run: RunTrace, what: Attempt | Action) -> str:
    """Return the offset from the start of the run."""
    return f"+{(what.at - run.started).total_seconds():.2f} s  " if what.at else ""
