"""Commands that look: watch, status, result, runs, agents."""

from pathlib import Path
from typing import Annotated

import typer

from schemas.event import State
from schemas.plan import AgentCard
from schemas.task import Result
from services.cli import watcher
from services.cli.api.client import Gateway
from services.cli.api.files import place_for, save
from services.cli.api.models import RunLine, RunStatus
from services.cli.exit_codes import ENDED, Exit
from services.cli.options import GatewayOption, JsonOption, RunArgument, TenantOption, connect
from services.cli.show.live import view_for
from services.cli.show.render import show_agents, show_result, show_runs, show_status
from services.cli.terminal import Screen

SaveOption = Annotated[
    Path | None,
    typer.Option(
        "--save", metavar="FOLDER", help="Where the files go; else .waggle/results/RUN/, if there is .waggle."
    ),
]


def watch(
    run: RunArgument, gateway: GatewayOption = None, tenant: TenantOption = "default", json: JsonOption = False
) -> None:
    """Follow a run until it has ended, from its first event. With --json: one line an event."""
    screen = Screen(json=json)
    with connect(gateway, tenant) as client:
        watcher.watch(client, run, screen, view_for(screen))
        leave(screen, client, run, save_to=None)


def result(
    run: RunArgument,
    save: SaveOption = None,
    gateway: GatewayOption = None,
    tenant: TenantOption = "default",
    json: JsonOption = False,
) -> None:
    """Show how a run ended, and save its files."""
    screen = Screen(json=json)
    with connect(gateway, tenant) as client:
        leave(screen, client, run, save_to=save, document=json)


def leave(screen: Screen, client: Gateway, run: str, *, save_to: Path | None, document: bool = False) -> None:
    """Show the result of an ended run and leave with its exit code. With JSON, only if it is the `document`."""
    found = client.result(run)
    if document:
        saved(client, found, save_to, by_itself=False)
        screen.document(found.model_dump(mode="json"))
    elif not screen.json:
        show_result(screen, found, saved(client, found, save_to, by_itself=True))
    raise typer.Exit(exit_of_result(found))


def exit_of_result(result: Result) -> Exit:
    """Return the exit code of a result, which says more than its status."""
    ended = ENDED[result.status.upper()]
    if ended is not Exit.COMPLETE:
        return ended
    return Exit.INCOMPLETE if result.incomplete_effects else Exit.DOUBTFUL if result.doubtful else ended


def saved(client: Gateway, found: Result, folder: Path | None, *, by_itself: bool) -> list[Path] | None:
    """The paths the artefacts were saved to; None when there is no place for them."""
    place = place_for(found.run_id, folder) if by_itself else folder
    return save(client, found.artefacts, place) if place and found.artefacts else None


def status(
    run: RunArgument, gateway: GatewayOption = None, tenant: TenantOption = "default", json: JsonOption = False
) -> None:
    """Show where a run stands: state, reason, steps, cost, what it waits for."""
    screen = Screen(json=json)
    with connect(gateway, tenant) as client:
        found = client.run(run)
    if json:
        screen.document(found)
        return
    stands = RunStatus.model_validate(found)
    show_status(screen, stands)
    if stands.state is State.WAITING_HUMAN:
        watcher.tell_question(screen, stands)


def runs(
    state: Annotated[State | None, typer.Option(case_sensitive=False, help="Only runs in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 20,
    gateway: GatewayOption = None,
    tenant: TenantOption = "default",
    json: JsonOption = False,
) -> None:
    """List the latest runs."""
    screen = Screen(json=json)
    with connect(gateway, tenant) as client:
        found = client.runs(state.value if state else None, limit)
    if json:
        screen.document(found)
    else:
        show_runs(screen, [RunLine.model_validate(each) for each in found], of_one_state=state is not None)


def agents(gateway: GatewayOption = None, tenant: TenantOption = "default", json: JsonOption = False) -> None:
    """List the agents there are, with their tools."""
    screen = Screen(json=json)
    with connect(gateway, tenant) as client:
        found = client.agents()
    if json:
        screen.document(found)
    else:
        show_agents(screen, [AgentCard.model_validate(each) for each in found])
