"""The change log of one run, as the orchestrator writes it."""

from datetime import timedelta

from schemas.approval import CancelRun
from schemas.log import LoggedEvent, RunChanged
from schemas.task import Task
from shared.runs import Intake
from tests.support.run_world import START, World, plan_of


def changes_of(run_id: str = "run-1", *, cancelled: bool = True) -> list[RunChanged]:
    """A run that a person cancels: one change a message, as the orchestrator writes them."""
    world, found, seen = World(Task(objective="pay 1000")), [], 0

    def note(cause: str) -> None:
        nonlocal seen
        fresh, seen = world.events[seen:], len(world.events)
        events = [LoggedEvent(type=each.wire_type(), data=each.model_dump(mode="json")) for each in fresh]
        about = {"run_id": run_id, "tenant": "default", "at": START + timedelta(seconds=len(found))}
        found.append(RunChanged(**about, epoch=1, number=len(found) + 1, cause=cause, events=events))

    world.tell(Intake(run_id, "task-1", world.task))
    note("task-1")
    world.plan(plan_of(a="", b="a"))
    note("plan")
    world.done("a")
    note("a")
    if cancelled:
        world.tell(CancelRun(run_id=run_id, tenant="default", by="eva", reason="stop that"))
        note("cancel")
    return found
