"""Recorded runs as the logs have them."""

import json

from schemas.step import HandoffFailed, StepCompleted
from shared.replay.reading import _first_of_each, _retained
from shared.service.rebuild.spill import Row

ABOUT = {"id": "h1/answer", "run_id": "run-1", "tenant": "t", "agent": "a", "handoff_id": "h1", "token": "x"}


def row(message, mark="m1"):
    kept = [message.wire_type(), message.id, mark, message.written()]
    return Row("run-1", 1, 0, json.dumps(kept).encode())


def done(seconds: float) -> StepCompleted:
    return StepCompleted.model_validate(ABOUT | {"output": {"answer": "17"}, "seconds": seconds})


def test_of_an_answer_that_a_killed_worker_gave_twice_the_first_counts():
    found = _first_of_each(_retained([row(done(4.5)), row(done(0.2))]))
    assert [each.seconds for each in found.values()] == [4.5]


def test_answers_of_other_marks_are_kept():
    failed = HandoffFailed.model_validate(ABOUT | {"error": {"code": "unwanted", "message": "no longer"}})
    assert list(_first_of_each(_retained([row(done(4.5)), row(failed, "m2")]))) == ["m1", "m2"]
