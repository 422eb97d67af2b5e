"""Detours to a decision: alone, for another, about a call that was not seen, or past the question."""

from datetime import timedelta

import pytest

from schemas.approval import DelegateQuestion, ResumeRun, WithdrawAnswer
from schemas.event import State
from schemas.question import Kind
from schemas.question_events import HelpAnswered, QuestionReminded
from schemas.step import HelpAsked
from schemas.task import Task
from schemas.timer import QuestionDue, WaitExpired
from shared.access.principals import Principals, is_person
from shared.guardrails.screen import Tripped
from shared.runs import Intake
from tests.support.deciding import PROPOSAL, ask, order, say, was_refused, world
from tests.support.questions import governed, keyring
from tests.support.run_world import World

FINANCE = 'groups = ["finance"]'
HEADS = 'groups = ["heads"]'
TWO = '[[questions]]\nkinds = ["call"]\nstages = [{ groups = ["finance"], needed = 2 }]\n'
CHAIN = '[[questions]]\nkinds = ["call", "question"]\nstages = [{ groups = ["finance"] }, { groups = ["heads"] }]\n'


def decided_by(w: World) -> list[list[str]]:
    return [[vote.by for vote in each.votes] for each in w.events if isinstance(each, HelpAnswered)]


def delegate(w: World, id: str, by: str, to: str) -> bool:
    w.tell(order(DelegateQuestion, id, by=by, to=to))
    return not was_refused(w)


def withdraw(w: World, id: str, by: str) -> bool:
    w.tell(order(WithdrawAnswer, id, by=by))
    return not was_refused(w)


@pytest.fixture
def suspect() -> World:
    """A task in which a guardrail tripped: people are asked whether it is done at all."""
    w = World(Task(objective="do it"), governance=governed("[approvals]\nexpires = 60\n"))
    hit = Tripped(kind="injection", action="ask", where="objective", why="orders to a model", count=1)
    w.tell(Intake("run-1", "task-1", w.task, secret="drawn", tripped=(hit,)))
    return w


def resumed(w: World) -> bool:
    w.tell(ResumeRun(run_id="run-1", tenant="default", by="ops"))
    return w.run.state is not State.FAILED


def test_a_task_that_a_person_rejected_is_not_done_because_an_operator_resumes_it(suspect):
    say(suspect, next(iter(suspect.run.questions)), "reject", answer="too dangerous")
    assert suspect.run.state is State.FAILED
    assert not resumed(suspect)


def test_a_task_that_was_not_permitted_in_time_is_not_done_because_an_operator_resumes_it(suspect):
    suspect.fire(WaitExpired)
    assert suspect.run.state is State.FAILED
    assert not resumed(suspect)


def test_a_task_that_a_person_permitted_may_be_resumed(suspect):
    say(suspect, next(iter(suspect.run.questions)), "approve")
    assert suspect.run.state is State.PLANNING
    assert not suspect.run.unapproved


@pytest.mark.parametrize("early", [True, False])
def test_a_chain_of_delegations_gives_one_members_right_to_one_person_only(early):
    people = keyring(ada=FINANCE, fay=FINANCE, bob="", dan="")
    w = world(governed(TWO, people))
    id = ask(w)
    assert delegate(w, id, "ada", "bob")
    assert delegate(w, id, "bob", "dan")
    if early:
        say(w, id, "approve", by="dan")
        assert not withdraw(w, id, "ada"), "her right is used"
    else:
        assert withdraw(w, id, "ada")
        assert w.run.questions[id].delegations == []
        say(w, id, "approve", by="dan")
        assert was_refused(w), "what it was passed on from is gone"
    say(w, id, "approve", by="ada")
    assert decided_by(w) == []
    say(w, id, "approve", by="fay")
    assert decided_by(w) == [["dan", "fay"] if early else ["ada", "fay"]]


def test_the_name_of_the_clock_which_decides_alone_is_refused():
    w = world(governed(TWO, keyring(ada=FINANCE)))
    id = ask(w)
    say(w, id, "approve", by="timekeeper")
    assert was_refused(w)
    w = world()
    say(w, ask(w), "approve", by="timekeeper")
    assert was_refused(w), "without a file of principals, too"
    for entry in (keyring(timekeeper=FINANCE), keyring(ada='person = "timekeeper"')):
        with pytest.raises(ValueError, match="timekeeper"):
            governed(keys=entry)
    assert not is_person("timekeeper")
    assert isinstance(governed(keys=keyring(ada=FINANCE)).people.principals, Principals)


def test_an_approval_counts_for_the_stage_that_asks_now():
    w = world(governed(CHAIN, keyring(ada=FINANCE, bob=FINANCE, cleo=HEADS)))
    id = ask(w)
    assert delegate(w, id, "ada", "cleo")
    say(w, id, "approve", by="bob")
    say(w, id, "approve", by="cleo")
    assert decided_by(w) == [["bob", "cleo"]], "the stage she stood in for was over"


def test_after_an_escalation_the_approval_of_the_next_group_counts_for_the_stage_that_waits():
    gate = CHAIN + 'escalate_after = 60\nescalate_to = ["heads"]\n'
    w = world(governed(gate, keyring(cleo=HEADS, carl=HEADS)))
    id = ask(w)
    w.fire(QuestionDue)
    say(w, id, "approve", by="cleo")
    assert w.run.questions[id].stage == 1
    say(w, id, "approve", by="carl")
    assert decided_by(w) == [["cleo", "carl"]]


def test_people_of_a_chain_who_say_different_things_have_not_agreed():
    w = world(governed(CHAIN, keyring(ada=FINANCE, cleo=HEADS, carl=HEADS)))
    asked = dict(w.answer(w.handoff("a"), HelpAsked, question="to whom?")) | {"kind": Kind.QUESTION}
    w.tell(HelpAsked(**asked))
    id = next(iter(w.run.questions))
    say(w, id, "respond", by="ada", answer="to A")
    say(w, id, "respond", by="cleo", answer="to B")
    assert decided_by(w) == []
    say(w, id, "respond", by="carl", answer="to A")
    (answered,) = [each for each in w.events if isinstance(each, HelpAnswered)]
    assert (answered.answer, answered.by) == ("to A", "carl")


def test_a_change_that_is_taken_back_takes_what_others_said_of_it_along():
    people = keyring(ada=FINANCE, bob=FINANCE, cy=FINANCE)
    w = world(governed(TWO.replace("needed = 2", "needed = 3"), people))
    id = ask(w)
    say(w, id, "edit", by="ada", arguments={"to": "eve@example.org"})
    changed = w.run.questions[id].asked.proposal
    say(w, id, "approve", by="bob", digest=changed.digest)
    assert len(w.run.questions[id].votes) == 2
    assert withdraw(w, id, "ada")
    question = w.run.questions[id]
    assert (question.asked.proposal, question.votes) == (PROPOSAL, [])
    say(w, id, "approve", by="bob", digest=changed.digest)
    assert was_refused(w), "that call is not asked about any more"
    for person in ("ada", "bob", "cy"):
        say(w, id, "approve", by=person, digest=PROPOSAL.digest)
    (settled,) = w.handoff("a").settled.values()
    assert (settled.digest, settled.arguments) == (PROPOSAL.digest, None)


def test_reminders_that_an_outage_has_delayed_are_one():
    w = world(governed("[approvals]\nremind = 3600\nexpires = 2000000\n"))
    id = ask(w)
    w.now += timedelta(hours=24, minutes=1)
    w.fire(QuestionDue)
    assert [each.number for each in w.events if isinstance(each, QuestionReminded)] == [24]
    w.fire(QuestionDue)
    assert w.run.questions[id].reminded == 25
    assert w.now - w.run.questions[id].asked.at < timedelta(hours=25, minutes=1), "it was due an hour later"
