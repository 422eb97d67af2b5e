"""Shared steps of tests: blackboard."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from schemas.log import LoggedEvent
from schemas.plan import AgentCard
from schemas.task import Task
from shared.blackboard import (
    RunStore,
    Write,
)
from shared.runs import Intake, decide

NOW = datetime(2026, 1, 1, tzinfo=UTC)

AGENTS = {"data": AgentCard(name="data", description="tables")}


def written(run_id: str, version: int = 0, message_id: str = "m1", tenant: str = "default") -> Write:
    task = Task(objective="count", shape="single", agent="data", tenant=tenant)
    decision = decide(None, Intake(run_id, "t1", task), NOW, AGENTS)
    return Write(
        message_id=message_id,
        before=None,
        after=decision.run,
        version=version,
        generation="",
        events=[LoggedEvent(type=each.wire_type(), data=each).model_dump_json() for each in decision.events],
        outbox={each.id: "record" for each in decision.messages},
        author="orchestrator",
        at=NOW.isoformat(),
        why="waggle.task.v1",
    )


def commit(store: RunStore, write: Write):
    """As one who has just read the run."""
    return store.commit(replace(write, generation=store._sentinel.generation))


@pytest.fixture
def store(sentinel) -> RunStore:
    return RunStore(sentinel, ttl=60)
