"""The memory service in the test's own process, and the changes of runs that it reads."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

from prometheus_client import CollectorRegistry

from schemas.conversation import Conversation
from schemas.log import LoggedEvent, RunChanged
from schemas.step import DoStep, Output, StepCompleted
from schemas.task import Task
from services.memory.noting import Noting
from services.memory.recording import Recorder
from services.memory.settings import MemorySettings
from services.memory.upkeep import Upkeep
from services.memory.viewing import Viewer
from shared import archive, blackboard, bus
from shared.archive.forgettings import Forgettings
from shared.blackboard import RunStore, keys
from shared.blackboard.runs import fields_of
from shared.bus import Deliverer, KeyedConsumer, encode, publish
from shared.bus.groups import MEMORIES, MEMORY, OBSERVED
from shared.bus.observer import Observer
from shared.memory import MemoryStore
from shared.memory.tables import TABLES, VECTORS
from shared.memory.view import MemoryView
from shared.runs import Intake
from shared.service import Parts
from shared.service.ended_runs import EndedRuns
from shared.service.outages import through_outages
from shared.telemetry.metrics import Metrics
from tests.support.run_world import START, World


@dataclass
class Logged(World):
    """A run whose changes are kept as the orchestrator writes them: one for each message."""

    run_id: str = "run-1"
    changes: list[RunChanged] = field(default_factory=list)

    def start(self, earlier: int | None = None) -> "Logged":
        """Start the run; with that number of earlier turns in its session."""
        session = self.task.session
        given = None if earlier is None else Conversation(session=session, left_out=earlier)
        self.tell(Intake(self.run_id, "task-1", self.task, secret="drawn", conversation=given))
        return self

    def tell(self, message) -> None:
        known = len(self.events)
        super().tell(message)
        events = [LoggedEvent(type=each.wire_type(), data=each.model_dump(mode="json")) for each in self.events[known:]]
        about = {"run_id": self.run_id, "tenant": self.task.tenant, "epoch": 1, "number": len(self.changes) + 1}
        if events:
            self.changes.append(RunChanged(**about, cause="c", at=self.now, events=events))

    def open_steps(self) -> list[DoStep]:
        """Return the handoffs that wait for an answer."""
        return self.waiting(DoStep)

    def complete(self, step: str, answer: str, **output) -> "Logged":
        """Let a step answer."""
        found = Output(answer=answer, **{"confidence": 0.8} | output)
        self.tell(self.answer(self.handoff(step), StepCompleted, output=found))
        return self


def single(
    run_id: str = "run-1", objective: str = "Count the orders", answer: str = "There are 17.", *, earlier=None, **task
) -> Logged:
    """A run of one step that has ended."""
    given = {"shape": "single", "agent": "data", "tenant": "acme"} | task
    made = Logged(Task(objective=objective, **given), run_id=run_id).start(earlier).complete("data", answer)
    made.review()
    return made


async def log(broker, settings, *runs: Logged, numbers=None) -> None:
    """Write the changes of runs to the log, or those of some numbers."""
    prefix = settings.topic_prefix
    for run in runs:
        records = [
            encode(each, id=f"{run.run_id}/{each.number}", source="/test", prefix=prefix, now=START, key=run.run_id)
            for each in run.changes
            if numbers is None or each.number in numbers
        ]
        await publish(broker, records)


async def on_blackboard(sentinel, run: Logged) -> None:
    """Write a run and its events to Redis, as the orchestrator does."""
    tenant, redis = run.task.tenant, sentinel.own
    version = len(run.changes)
    await redis.hset(keys.run(tenant, run.run_id), mapping=fields_of(run.run, version) | {"version": str(version)})
    for change in run.changes:
        for place, event in enumerate(change.events, 1):
            id = f"{change.number}-{place}"
            await redis.xadd(keys.run(tenant, run.run_id, "events"), {"event": event.shown()}, id=id)


async def emptied(dsn: str) -> MemoryStore:
    """Return a store without rows, marks and names of tenants."""
    store = MemoryStore(dsn)
    names = (*TABLES, "memory_tenants", "memory_filled", *([VECTORS] if await store.door.has_vectors() else []))
    async with store.door.owner() as connection:
        await connection.execute(f"TRUNCATE {', '.join(names)}")
    return store


@dataclass
class Remembering:
    """The parts of a running service."""

    broker: object
    parts: Parts
    view: MemoryView
    recorder: Recorder
    viewer: Viewer
    upkeep: Upkeep
    consumer: KeyedConsumer

    def counted(self, outcome: str) -> float:
        """Return a counter."""
        return self.parts.registry.get_sample_value("waggle_memories_total", {"outcome": outcome}) or 0.0


@asynccontextmanager
async def remembering(settings, sentinel, embedder=None, group=MEMORY, *, noting=False, **own):
    """Runs until the block ends, without background work. `noting`: ended runs wait for their facts to be extracted."""
    if noting:  # nothing is noted without a model
        settings = settings.model_copy(update={"openai_base_url": settings.openai_base_url or "http://127.0.0.1:9/v1"})
    broker, registry = bus.connect(settings, MEMORY), CollectorRegistry()
    runs = RunStore(sentinel, settings.state_ttl, settings.session_ttl)
    parts = Parts(MEMORY, settings, registry, Metrics(registry), None, broker, sentinel, runs, None, ())
    view = MemoryView(MemoryStore(settings.postgres))
    ledger, mine = Forgettings(settings.postgres), MemorySettings(**own)
    viewer = Viewer(parts, view, ledger)
    after = (Noting(parts, viewer.turns, mine).after_run,) if noting else ()
    recorder = Recorder(parts, mine, view, EndedRuns(parts), after)

    async def ready():
        pass

    async def watch(record):
        work = viewer.apply if record.topic == settings.topic_prefix + MEMORIES else recorder.record
        await through_outages(partial(work, record), archive.OUTAGES)

    deliver = Deliverer(
        broker=broker,
        service=MEMORY,
        prefix=settings.topic_prefix,
        handle=ready,
        on_dead=ready,
        outages=(*bus.OUTAGES, *blackboard.OUTAGES),
        ready=ready,
        metrics=parts.metrics,
    )
    topics = [settings.topic_prefix + each for each in (OBSERVED, MEMORIES)]
    consumer = KeyedConsumer(
        broker, topics, settings.topic_prefix + group, Observer(deliver, frozenset(), watch), settings
    )
    await view.mark_filled()
    await broker.start()
    consumer.start()
    await until(lambda: consumer.joined)
    try:
        yield Remembering(broker, parts, view, recorder, viewer, Upkeep(viewer, mine, embedder), consumer)
    finally:
        await consumer.stop(grace=5.0)
        await broker.stop()
        await view.store.close()
        await ledger.close()


async def until(condition, seconds=30.0):
    """Wait for a lasting condition; `condition` may be a coroutine function."""
    async with asyncio.timeout(seconds):
        while not (await found if asyncio.iscoroutine(found := condition()) else found):
            await asyncio.sleep(0.02)
