"""Tasks that a run leaves with an agent elsewhere when it ends while a person is asked: they are cancelled there."""

from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry

from schemas.approval import CancelRun
from schemas.log import LoggedEvent
from schemas.plan import AgentCard
from schemas.step import HelpAsked
from schemas.task import Task
from services.remote.left_tasks import LeftTasks
from shared.a2a.connection import Connection
from shared.blackboard import RunStore, keys
from shared.blackboard.runs import Write
from shared.service import Parts
from shared.telemetry.metrics import Metrics
from tests.support.agent_loop import answer
from tests.support.run_world import AGENTS, World


@pytest.fixture
def service(settings, sentinel) -> Parts:
    registry = CollectorRegistry()
    runs = RunStore(sentinel, settings.state_ttl)
    return Parts("peer", settings, registry, Metrics(registry), None, None, sentinel, runs, None)


@pytest.fixture
def run(monkeypatch) -> World:
    """A run that has one step, for the agent elsewhere."""
    monkeypatch.setitem(AGENTS, "peer", AgentCard(name="peer", description="peer"))
    task = Task(objective="ask me", shape="single", agent="peer", on_trouble="wait")
    return World(task, now=datetime.now(UTC)).start()


async def work(run: World, worker) -> HelpAsked:
    """Let the agent elsewhere work on the step, and the run take its answer."""
    step = run.handoff("peer")
    said, _ = await answer(worker, step)
    run.open.pop(step.id)
    run.tell(said)
    return said


async def write(run: World, service: Parts) -> None:
    """Write the run as it is."""
    events = [LoggedEvent(type=each.wire_type(), data=each.model_dump(mode="json")).shown() for each in run.events]
    about = {"author": "orchestrator", "at": run.now.isoformat(), "why": "test", "outbox": {}}
    state = {"before": None, "after": run.run, "version": 0, "generation": service.sentinel.generation}
    await service.sentinel.own.delete(*(keys.run("default", run.run.id, part) for part in ("state", "events")))
    await service.runs.commit(Write(message_id=f"m{len(events)}", events=events, **state, **about))


def connection_of(worker) -> Connection:
    return worker.runtime.agent.tools[0].run.__self__.connection


async def test_a_run_that_ends_while_a_person_is_asked_leaves_no_task(working, peer, service, run):
    async with working(peer) as worker:
        asked = await work(run, worker)
        assert isinstance(asked, HelpAsked), asked
        left, looked = LeftTasks(connection_of(worker)), LeftTasks(connection_of(worker))
        await write(run, service)
        await looked.cancel(service)
        assert peer.cancelled == [], "the run still waits for the person"
        run.tell(CancelRun(run_id="run-1", tenant="default", by="ada", reason="not needed any more"))
        await write(run, service)
        await looked.cancel(service)
        await looked.cancel(service)
        [task] = peer.cancelled
        assert await connection_of(worker).task(task)
        await left.cancel(service)  # another process finds it, and that it has ended
    assert peer.cancelled == [task]


async def test_a_task_is_cancelled_once_its_agent_can_be_reached(working, peer, service, run, monkeypatch):
    async with working(peer) as worker:
        await work(run, worker)
        run.tell(CancelRun(run_id="run-1", tenant="default", by="ada", reason="not needed any more"))
        await write(run, service)
        left, connection = LeftTasks(connection_of(worker)), connection_of(worker)
        with monkeypatch.context() as down:
            down.setattr(connection, "_client", unreachable)
            await left.cancel(service)
        assert peer.cancelled == []
        await left.cancel(service)
    assert len(peer.cancelled) == 1


async def unreachable(**_):
    raise ConnectionError("no route")
