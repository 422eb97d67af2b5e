"""Records are read on the topic of their type alone, and named by source and id together."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from schemas.approval import CancelRun, HumanDecided
from schemas.budget import Budget
from schemas.step import DoStep
from schemas.task import Task
from schemas.timer import TimerSet
from shared.bus import decode, encode
from shared.bus.dead.letters import read_dead_letter
from shared.bus.record import fingerprint
from shared.errors import InvalidMessage
from shared.runs import run_id_for

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ABOUT = {"run_id": "run-1", "tenant": "default"}
TIMER = TimerSet(due=NOW, topic="runs", key="k", headers={}, value="{}")
STEP = DoStep(
    **ABOUT,
    id="run-1/a/0.0.1",
    task_id="t",
    agent="data",
    objective="count",
    budget_left=Budget(),
    timeout=1,
    deadline=NOW,
    step_id="a",
)


def received(message, topic, *, id="m1", source="/shop", key=None, value=None):
    record = encode(message, id=id, source=source, prefix="waggle.", now=NOW, key=key)
    headers = [(name, each.encode()) for name, each in record.headers.items()]
    value = value or record.value.encode()
    return SimpleNamespace(
        topic="waggle." + topic, partition=0, offset=0, key=record.key.encode(), headers=headers, value=value
    )


@pytest.mark.parametrize(
    ("message", "own", "other"),
    [
        (Task(objective="x"), "tasks", "decisions"),
        (CancelRun(**ABOUT, by="ada", reason="r"), "control", "tasks"),
        (HumanDecided(**ABOUT, by="ada", request_id="r", decision="approve"), "decisions", "tasks"),
        (HumanDecided(**ABOUT, by="ada", request_id="r", decision="approve"), "decisions", "runs"),
        (STEP, "agents.data", "agents.code"),
        (STEP, "agents.data", "agents"),
        (TIMER, "timers", "runs"),
        (TIMER, "retries.data", "retries"),
    ],
)
def test_a_message_is_read_on_the_topic_of_its_type_and_refused_on_any_other_with_both_named(message, own, other):
    assert decode(received(message, own), "waggle.").message == message
    with pytest.raises(InvalidMessage) as refused:
        decode(received(message, other), "waggle.")
    assert refused.value.code == "wrong_topic"
    assert f"`{other}`" in str(refused.value)
    assert own.startswith("retries") or f"`{own}`" in str(refused.value)


def test_a_topic_of_another_installation_is_not_ours():
    with pytest.raises(InvalidMessage, match=r"`waggle\.tasks`"):
        decode(received(Task(objective="x"), "tasks"), "other.")


def test_events_of_two_sources_or_two_types_that_share_an_id_are_told_apart():
    decision = HumanDecided(**ABOUT, by="ada", request_id="r", decision="approve")
    records = [
        received(Task(objective="x"), "tasks"),
        received(Task(objective="x"), "tasks", source="/crm"),
        received(decision, "decisions"),
    ]
    assert len({decode(each, "waggle.").mark for each in records}) == 3
    again = received(Task(objective="x"), "tasks", key="another key")
    assert decode(again, "waggle.").mark == decode(records[0], "waggle.").mark


def test_records_that_differ_in_anything_that_matters_have_fingerprints_of_their_own():
    task = Task(objective="x")
    first = received(task, "tasks")
    others = [
        received(task, "tasks", source="/crm"),
        received(task, "tasks", id="m2"),
        received(task, "tasks", key="k"),
        received(task, "other"),
        received(Task(objective="x", tenant="acme"), "tasks"),
    ]
    assert len({fingerprint(each) for each in (first, *others)}) == 6
    moved = received(task, "tasks")
    moved.partition, moved.offset = 3, 99
    assert fingerprint(moved) == fingerprint(first)


def test_a_run_is_named_by_its_key_or_else_by_source_and_id():
    assert run_id_for("default", "k", "/shop", "1001") == run_id_for("default", "k", "/crm", "7")
    named = [
        run_id_for("default", None, "/shop", "1001"),
        run_id_for("default", None, "/crm", "1001"),
        run_id_for("acme", None, "/shop", "1001"),
        run_id_for("default", "1001"),
        run_id_for("default", "/shop1001"),
    ]
    assert len(set(named)) == 5


@pytest.mark.parametrize(
    ("timestamp", "year"), [(-1, 1970), (-(2**62), 1970), (1_767_225_600_000, 2026), (10**15, 9999), (2**62, 9999)]
)
def test_a_dead_letter_with_any_timestamp_can_be_listed(timestamp, year):
    record = SimpleNamespace(
        topic="waggle.tasks.dlt", partition=0, offset=0, timestamp=timestamp, key=None, value=None, headers=()
    )
    assert read_dead_letter(record, "waggle.").at.year == year
