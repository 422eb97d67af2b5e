"""Feedback on ended runs: the latest of each person counts."""

import pytest

from schemas.approval import Feedback
from schemas.caller_message import MOST_PEOPLE, MOST_TIMES, summary_of
from schemas.event import FeedbackGiven, MoveRefused
from schemas.task import Task
from shared.access.people import People
from shared.access.principals import Principals
from shared.blackboard.entries import entry_of
from shared.runs.governance import Governance, default_governance
from tests.support.run_world import World, plan_of

KEYS = {
    name: {"sha256": f"{number}" * 64, "tenants": ["*"], "roles": ["submit"], **facts}
    for number, (name, facts) in enumerate({"ada": {}, "ada-laptop": {"person": "ada"}, "bob": {}}.items())
}
WITH_KEYS = Governance(default_governance().policies, People(Principals.model_validate({"principals": KEYS})))


def said(solved: bool, by: str = "ada", **more) -> Feedback:
    return Feedback(run_id="run-1", tenant="default", by=by, solved=solved, **more)


def started() -> World:
    return World(Task(objective="count the orders", requested_by="ada"), governance=WITH_KEYS).start()


@pytest.fixture
def ended() -> World:
    w = started()
    w.plan(plan_of(a=""))
    w.done("a")
    w.review()
    return w


def of(w: World, kind):
    return [each for each in w.events if isinstance(each, kind)]


def test_the_latest_feedback_of_each_person_counts(ended):
    for each in (said(True), said(True, by="bob"), said(False, by="ada-laptop", score=2, comment="Wrong total.")):
        ended.tell(each)
    ada, bob = ended.run.ratings
    assert (ada.person, ada.solved, ada.score, ada.comment, ada.times) == ("ada", False, 2, "Wrong total.", 2)
    assert (bob.person, bob.solved) == ("bob", True)
    assert [each.before for each in of(ended, FeedbackGiven)] == [None, None, True]
    assert summary_of(ended.run.ratings) == "mixed"
    assert '"solved":"mixed"' in entry_of(ended.run, 1).row


def test_the_event_names_what_the_run_was_made_with(ended):
    ended.tell(said(True))
    [event] = of(ended, FeedbackGiven)
    assert list(event.agents) == [ended.run.steps["a"].step.agent]
    assert (event.cost_usd, event.models, event.steps) == (ended.run.usage.cost_usd, ended.run.models, 1)
    assert event.state == ended.run.state


def test_a_run_at_work_refuses_feedback():
    w = started()
    w.tell(said(True))
    assert not w.run.ratings
    assert "has not ended" in of(w, MoveRefused)[-1].reason


def test_feedback_has_a_most_of_people_and_of_times(ended):
    for number in range(MOST_PEOPLE + 1):
        ended.tell(said(True, by=f"person-{number}"))
    assert len(ended.run.ratings) == MOST_PEOPLE
    for _ in range(MOST_TIMES + 1):
        ended.tell(said(False, by="person-0"))
    assert ended.run.ratings[0].times == MOST_TIMES
    assert len(of(ended, MoveRefused)) == 3


@pytest.mark.parametrize("wrong", [{"score": 0}, {"score": 6}, {"comment": "x" * 2_001}])
def test_scores_and_comments_are_bounded(wrong):
    with pytest.raises(ValueError, match=r"score|comment"):
        said(True, **wrong)
