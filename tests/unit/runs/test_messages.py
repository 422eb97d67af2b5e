"""Messages that callers add to a run at work."""

from collections.abc import Sequence

import pytest

from schemas.approval import AddMessage, PauseRun, ResumeRun
from schemas.budget import Budget, Usage
from schemas.caller_message import MOST_MESSAGES, MOST_OF_OTHERS
from schemas.event import AnswerOutdated, GuardrailTripped, MessageAdded, MoveRefused, State
from schemas.step import DoStep, MakePlan, PlanProposed, ResultReviewed, ReviewResult
from schemas.task import Task
from shared.access.people import People
from shared.access.principals import Principals
from shared.guardrails import FindingKind, GuardrailAction, Tripped
from shared.runs.conversation import conversation_of, turn_of
from shared.runs.governance import Governance, default_governance
from shared.runs.messages import ScreenedMessage
from tests.support.run_world import World, plan_of

KEYS = {
    name: {"sha256": f"{number}" * 64, "tenants": ["*"], "roles": ["submit"], **facts}
    for number, (name, facts) in enumerate({"ada": {}, "ada-laptop": {"person": "ada"}, "bob": {}}.items())
}
WITH_KEYS = Governance(default_governance().policies, People(Principals.model_validate({"principals": KEYS})))


def said(text: str = "only March", id: str = "m1", by: str = "ada", tripped: Sequence[Tripped] = ()) -> ScreenedMessage:
    order = AddMessage(run_id="run-1", tenant="default", by=by, message_id=id, text=text)
    return ScreenedMessage(order, tuple(tripped))


def world(governance: Governance = WITH_KEYS, **task) -> World:
    given = {"objective": "count the orders", "requested_by": "ada"} | task
    return World(Task(**given), governance=governance).start()


def of(w: World, kind):
    return [each for each in w.events if isinstance(each, kind)]


def test_every_later_handoff_has_the_message_with_author_and_time():
    w = world()
    w.plan(plan_of(a="", b="a"))
    w.tell(said())
    w.done("a")
    [message] = w.handoff("b").messages
    assert (message.text, message.by, message.own, message.at) == ("only March", "ada", True, w.now)
    w.done("b")
    [review] = w.waiting(ReviewResult)
    assert review.messages == [message]


def test_a_repeated_message_is_added_once():
    w = world()
    for _ in range(2):
        w.tell(said())
    w.tell(said("something else"))
    assert [each.text for each in w.run.messages] == ["only March"]
    assert len(of(w, MessageAdded)) == 1


@pytest.mark.parametrize(
    ("governance", "author", "by", "own"),
    [
        (WITH_KEYS, "ada", "ada", True),
        (WITH_KEYS, "ada", "ada-laptop", True),
        (WITH_KEYS, "ada", "bob", False),
        (WITH_KEYS, "ada", "mallory", False),
        (WITH_KEYS, None, "ada", False),
        (Governance(default_governance().policies, People()), None, "anyone", True),
        (Governance(default_governance().policies, People()), "ada", "bob", False),
    ],
)
def test_only_words_of_the_author_of_the_task_count_as_the_task_s_own(governance, author, by, own):
    w = world(governance, requested_by=author)
    w.tell(said(by=by))
    assert [each.own for each in w.run.messages] == [own]


def test_a_run_takes_a_bounded_number_of_messages():
    w = world()
    for number in range(MOST_MESSAGES + 1):
        w.tell(said(id=f"m{number}"))
    w.tell(said(id="m0"))
    assert len(w.run.messages) == MOST_MESSAGES
    [refused] = of(w, MoveRefused)
    assert (refused.wanted, str(MOST_MESSAGES) in refused.reason) == ("add a message", True)


def test_messages_of_others_leave_room_for_those_of_the_author():
    w = world()
    for number in range(MOST_MESSAGES):
        w.tell(said(id=f"b{number}", by="bob"))
    assert len(w.run.messages) == MOST_OF_OTHERS
    w.tell(said(id="a1", by="ada"))
    assert w.run.messages[-1].own


def test_an_ended_run_takes_no_message():
    w = world()
    w.plan(plan_of(a=""))
    w.done("a")
    w.review()
    before = w.run
    w.tell(said())
    assert w.run == before
    assert of(w, MoveRefused)[-1].reason == "the run is COMPLETE"


def test_a_message_answers_no_question_and_wakes_no_paused_run():
    w = world()
    w.plan(plan_of(a=""))
    w.ask("a")
    assert w.run.state is State.WAITING_HUMAN
    w.tell(said("approve"))
    assert w.run.state is State.WAITING_HUMAN
    assert len(w.run.questions) == len(w.run.messages) == 1
    w.tell(PauseRun(run_id="run-1", tenant="default", by="ops", reason="r"))
    w.tell(said("resume", "m2"))
    assert w.run.state is State.PAUSED
    w.tell(ResumeRun(run_id="run-1", tenant="default", by="ops"))
    assert len(w.run.questions) == 1


@pytest.mark.parametrize("action", [GuardrailAction.REJECT, GuardrailAction.ASK])
def test_a_message_that_a_guardrail_refuses_leaves_no_text(action):
    w = world()
    tripped = Tripped(FindingKind.ABUSE, action, "message m1", "is on the list")
    w.tell(said("[abuse]", tripped=[tripped]))
    assert w.run.messages == []
    [refused] = of(w, MoveRefused)
    assert "guardrail `abuse`" in refused.reason
    assert not of(w, GuardrailTripped)


def test_a_redacted_message_is_a_caveat_of_the_result():
    w = world()
    w.plan(plan_of(a=""))
    w.tell(said("[secret]", tripped=[Tripped(FindingKind.SECRET, GuardrailAction.REDACT, "message m1", "is a token")]))
    w.done("a")
    w.review()
    assert any("message m1 is a token: it was removed" in each for each in w.results[0].caveats)


def test_a_plan_that_was_made_without_the_latest_message_is_asked_for_again():
    w = world()
    [first] = w.waiting(MakePlan)
    assert first.messages == []
    w.tell(said())
    w.plan(plan_of(a=""), messages_read=0)
    assert not w.dispatched
    [second] = w.waiting(MakePlan)
    assert (second.id != first.id, len(second.messages)) == (True, 1)
    w.plan(plan_of(b=""), messages_read=1)
    assert w.dispatched == ["b"]
    [outdated] = of(w, AnswerOutdated)
    assert (outdated.unread, outdated.repeated) == (1, True)


def test_a_verdict_without_the_latest_message_does_not_complete_the_run():
    w = world()
    w.plan(plan_of(a=""))
    w.done("a", messages_read=0)
    [first] = w.waiting(ReviewResult)
    w.tell(said())
    w.tell(w.answer(first, ResultReviewed, accepted=True, messages_read=0))
    assert w.run.state is State.REVIEWING
    [second] = w.waiting(ReviewResult)
    assert [each.text for each in second.messages] == ["only March"]
    w.tell(w.answer(second, ResultReviewed, accepted=False, reasons=["all months"], messages_read=1))
    assert [each.text for each in w.handoff("a").messages] == ["only March"]


def test_an_answer_of_a_version_that_counts_no_messages_is_used():
    w = world()
    w.tell(said())
    w.plan(plan_of(a=""))
    w.done("a")
    w.review()
    assert w.run.state is State.COMPLETE
    assert not of(w, AnswerOutdated)


def test_without_budget_the_verdict_counts_and_the_result_says_what_it_disregards():
    w = world(budget=Budget(model_calls=10))
    w.plan(plan_of(a=""))
    w.done("a", usage=Usage(model_calls=9))
    [asked] = w.waiting(ReviewResult)
    w.tell(said())
    w.tell(w.answer(asked, ResultReviewed, accepted=True, messages_read=0))
    assert w.run.state is State.COMPLETE
    assert "reviewer had not read the last 1 messages of callers" in w.results[0].caveats


def test_messages_cannot_keep_a_run_planning_forever():
    w = world()
    for number in range(MOST_MESSAGES + 5):
        if not w.waiting(MakePlan):
            break
        read = len(w.waiting(MakePlan)[-1].messages)
        w.tell(said(id=f"m{number}"))
        w.plan(plan_of(a=""), messages_read=read)
    assert w.dispatched == ["a"]
    assert isinstance(w.handoff("a"), DoStep)
    assert len(of(w, AnswerOutdated)) == MOST_MESSAGES


def test_the_turn_of_a_conversation_has_what_its_author_added():
    w = world(session="trip")
    w.tell(said("only March " + "x" * 600))
    w.tell(said("send it to me", "m2", by="bob"))
    turn = turn_of(w.run)
    assert (len(turn.added), len(turn.added[0]), turn.shortened) == (1, 500, True)
    ended = turn.model_copy(update={"status": "complete"})
    assert conversation_of("trip", [ended], 1, "run-2").turns[0].added == turn.added


def test_a_plan_is_not_asked_for_again_for_a_message_that_it_has_read():
    w = world()
    w.tell(said())
    w.tell(w.answer(w.waiting(MakePlan)[-1], PlanProposed, plan=plan_of(a=""), messages_read=1))
    assert w.dispatched == ["a"]
