"""Rules of the gateway that need no other service."""

from datetime import UTC, datetime

import pytest

from schemas.event import Moved, State
from schemas.task import Task
from services.gateway.errors import Refused, explain
from services.gateway.routes.events import ends
from services.gateway.routes.tasks import addressed
from services.gateway.views import links_to
from shared.blackboard import LiveEvent
from shared.bus.groups import groups_by_topic
from shared.runs import ENDS

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("inside", "outside", "agreed"),
    [({}, None, "default"), ({}, "shop", "shop"), ({"tenant": "shop"}, None, "shop"), ({"tenant": "a"}, "a", "a")],
)
def test_a_tasks_tenant_is_the_one_that_was_given(inside, outside, agreed):
    assert addressed(Task(objective="x", **inside), outside, None).tenant == agreed


@pytest.mark.parametrize("given", [("bank", None), ("default", None), ("shop", "other")])
def test_a_task_is_never_moved_to_another_tenant_or_key(given):
    task = Task(objective="x", tenant="shop", idempotency_key="mine")
    with pytest.raises(Refused) as refused:
        addressed(task, *given)
    assert refused.value.status_code == 422


@pytest.mark.parametrize("state", list(State))
def test_a_stream_ends_with_the_move_to_an_end_and_no_other_event(state):
    moved = Moved(run_id="r", tenant="t", at=NOW, by="orchestrator", source="EXECUTING", target=state, reason="")
    assert ends(LiveEvent("1-0", Moved.wire_type(), moved.model_dump(mode="json"))) == (state in ENDS)
    assert not ends(LiveEvent("1-0", "waggle.step-done.v1", moved.model_dump(mode="json")))


def test_each_topic_has_the_group_of_the_service_that_consumes_it():
    groups = groups_by_topic("w.", ["data"])
    assert groups["w.agents.data"] == ["w.data"]
    assert groups["w.tasks"] == ["w.orchestrator"]
    assert groups["w.runs.log"] == ["w.notifier", "w.memory", "w.evaluator", "w.archivist"]
    assert groups["w.journal"] == ["w.archivist"]
    assert "w.agents.index" not in groups


def test_a_validation_error_is_explained_without_repeating_the_input():
    said = explain([{"loc": ("body", "budget", "steps"), "msg": "too many", "input": "secret"}])
    assert said == "body.budget.steps: too many"


def test_links_name_the_tenant():
    assert links_to("run-1", "shop").events == "/v1/runs/run-1/events?tenant=shop"
