"""Commands that read runs: `waggle status`, `result`, `runs`."""

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from schemas.api.runs import RunView
from schemas.api.trace import TurnPage
from schemas.event import State
from schemas.progress import PERSON
from schemas.task import Result
from services.cli.api.answers import NotFoundError
from services.cli.api.client import Gateway
from services.cli.api.files import place_for, save
from services.cli.exit_codes import ENDED, Exit
from services.cli.open_questions import questions_of
from services.cli.options import RunArgument
from services.cli.run_filters import RunFilters
from services.cli.session import Session, gateway_command
from services.cli.show.question import show_waiting
from services.cli.show.render import show_result, show_runs, show_status
from services.cli.show.turns import show_turns

SaveOption = Annotated[
    Path | None,
    typer.Option(
        "--save",
        metavar="FOLDER",
        help="Folder for the result's files. Default: .waggle/results/RUN/ if there is a .waggle here, else none.",
    ),
]


@gateway_command
def result(session: Session, run: RunArgument, save: SaveOption = None) -> None:
    """Show the result of an ended run, and save its files."""
    exit_with_result(session, run, save_to=save)


def exit_with_result(session: Session, run: str, *, save_to: Path | None, document: bool = True) -> None:
    """Show the result of an ended run and exit with its code. With --json, print it only as the `document`."""
    screen, found = session.screen, session.client.result(run)
    if not screen.json:
        show_result(screen, found, saved_files(session.client, found, place_for(found.run_id, save_to)))
    elif document:
        saved_files(session.client, found, save_to)
        screen.document(found.model_dump(mode="json"))
    raise typer.Exit(exit_code_of(found))


def exit_code_of(result: Result) -> Exit:
    """Return the exit code of a result, which says more than its status."""
    ended = ENDED[result.status.upper()]
    if ended is not Exit.COMPLETE:
        return ended
    return Exit.INCOMPLETE if result.incomplete_effects else Exit.DOUBTFUL if result.doubtful else ended


def saved_files(client: Gateway, found: Result, folder: Path | None) -> list[Path] | None:
    """Save the artefacts and return their paths; None if there is no folder for them, or none to save."""
    return save(client, found.artefacts, folder) if folder and found.artefacts else None


ContextOption = Annotated[
    bool, typer.Option("--context", help="Also list what each agent saw: its turns, with the command that shows each.")
]


@gateway_command
def status(session: Session, run: RunArgument, context: ContextOption = False) -> None:
    """Show a run's state, reason, steps, cost, and open questions."""
    found = session.client.run(run)
    turns = turns_of(session.client, run) if context else []
    document = found.model_dump(mode="json") | ({"context": turns} if context else {})
    session.screen.answer(document, lambda: _show(session, found, turns))


def turns_of(client: Gateway, run: str) -> list[TurnPage]:
    """Return the latest turns of the planner, of each step that was started, and of the reviewer."""
    found = []
    for work in client.trace(run).works:
        with suppress(NotFoundError):  # no agent has started it yet
            found += [client.turns(run, work.id)] if work.agent != PERSON else []
    return found


def _show(session: Session, run: RunView, turns: list[TurnPage]) -> None:
    show_status(session.screen, run)
    show_turns(session.screen, run.run_id, turns)
    if run.state is State.WAITING_HUMAN or questions_of(run):
        show_waiting(session.screen, run)


@gateway_command
def runs(
    session: Session,
    filters: RunFilters,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Maximum number of runs.")] = 20,
    recorded: Annotated[
        bool, typer.Option("--recorded", help="Ended runs of the audit record, also those that have left Redis.")
    ] = False,
) -> None:
    """List the latest runs, newest first. All filters given must match.

    Example: waggle runs --state failed --agent data --since 2h
    """
    page = session.client.runs(filters.given | ({"recorded": True} if recorded else {}), limit)
    session.screen.answer(page.runs, lambda: show_runs(session.screen, page.runs, filtered=bool(filters.given)))
    if page.indexing:
        session.screen.note("Runs of an earlier release are still being indexed: filters may miss some of them.")
