"""Questions to people: who may answer, how many must, what each answer does, and what time alone does."""

import json
from datetime import timedelta

import pytest

from schemas.approval import CarryOut, DelegateQuestion, HumanDecided, PauseRun, ResumeRun, WithdrawAnswer
from schemas.event import State
from schemas.plan import Plan, Risk
from schemas.question import Kind, Reply
from schemas.question_events import AnswerGiven, HelpAnswered, QuestionEdited, QuestionEscalated, QuestionReminded
from schemas.step import DoStep, MakePlan, Output, ReviewResult, StepCompleted
from schemas.timer import QuestionDue, WaitExpired
from shared.runs.result import effects_digest
from tests.support.deciding import PROPOSAL, ask, order, say, was_refused, world
from tests.support.message_samples import EFFECT
from tests.support.questions import first_asked, governed, keyring
from tests.support.run_world import World, plan_of, reworded

# What a question stops.


def test_a_question_stops_its_step_and_what_depends_on_it_and_no_other():
    w = world()
    ask(w, "a")
    assert w.run.state is State.EXECUTING
    w.done("b")
    assert (w.run.state, w.dispatched) == (State.WAITING_HUMAN, ["a", "b"])


def test_a_sibling_that_ends_after_the_answer_does_not_hold_the_step_back():
    w = world()
    id = ask(w, "a")
    say(w, id, "approve")
    assert w.dispatched == ["a", "b", "a"]
    assert w.run.state is State.EXECUTING


def test_a_critical_question_blocks_the_run_although_a_sibling_could_start():
    w = world(plan=plan_of(a="", b="", c="b"))
    ask(w, "a", PROPOSAL.model_copy(update={"risk": Risk.CRITICAL}))
    assert w.run.state is State.WAITING_HUMAN
    w.done("b")
    assert (w.run.state, w.dispatched) == (State.WAITING_HUMAN, ["a", "b"])
    say(w, next(iter(w.run.questions)), "approve")
    assert (w.run.state, w.dispatched) == (State.EXECUTING, ["a", "b", "a", "c"])


def test_the_clock_runs_while_siblings_work_and_stands_still_while_all_wait():
    w = world()
    deadline = w.run.deadline
    id = ask(w, "a")
    w.now += timedelta(seconds=10)
    w.done("b")
    w.now += timedelta(hours=3)
    say(w, id, "approve")
    assert w.run.deadline == deadline + timedelta(hours=3)


def test_a_sibling_that_fails_for_good_ends_a_waiting_run():
    w = world()
    ask(w, "a", PROPOSAL.model_copy(update={"risk": Risk.CRITICAL}))
    w.fail(w.handoff("b"), retryable=False)
    assert w.run.state is State.FAILED
    assert not w.run.questions


# What each answer does.


def test_an_approved_call_may_be_made_once_as_shown():
    w = world()
    say(w, ask(w), "approve", digest=PROPOSAL.digest)
    (settled,) = w.handoff("a").settled.values()
    assert (settled.digest, settled.refused, settled.arguments) == (PROPOSAL.digest, None, None)


@pytest.mark.parametrize("reply", ["respond", "skip"])
def test_a_call_that_is_answered_or_skipped_is_not_made_and_the_same_work_continues(reply):
    w = world()
    work = w.handoff("a").idempotency_key
    say(w, ask(w), reply, answer="use the other account")
    again = w.handoff("a")
    (settled,) = again.settled.values()
    assert (settled.refused, settled.answer, settled.repeats) == (reply, "use the other account", False)
    assert again.idempotency_key == work


def test_an_edited_call_has_a_new_digest_and_the_limits_of_the_one_that_was_shown():
    w = world()
    say(w, ask(w), "edit", arguments={"to": "bob@example.org"})
    (settled,) = w.handoff("a").settled.values()
    assert json.loads(settled.arguments) == {"to": "bob@example.org"}
    assert settled.digest not in (None, PROPOSAL.digest)
    assert (settled.risk, settled.moves, settled.recipients) == (PROPOSAL.risk, {"money": 500.0}, 1)
    edited = next(each for each in w.events if isinstance(each, QuestionEdited))
    assert (edited.before, edited.proposal.edited_by) == (PROPOSAL.arguments, "ada")
    answered = next(each for each in w.events if isinstance(each, HelpAnswered))
    assert (answered.reply, answered.decision) == (Reply.EDIT, "reject")


@pytest.mark.parametrize("arguments", ["[1]", "1", "{", "null", "[" * 3_000])
def test_edited_arguments_that_are_no_object_are_refused_and_the_question_stays_open(arguments):
    w = world()
    id = ask(w)
    w.tell(order(HumanDecided, id, decision="reject", reply="edit", arguments=arguments))
    assert was_refused(w)
    assert id in w.run.questions


def test_a_rejection_drops_the_plan_and_every_other_question():
    w = world()
    id = ask(w, "a")
    ask(w, "b")
    say(w, id, "reject", answer="too risky")
    assert (w.run.state, w.run.questions, w.run.feedback) == (State.PLANNING, {}, ["too risky"])


def test_a_skipped_question_of_an_agent_lets_it_continue_without_an_answer():
    w = world()
    w.ask("a")
    say(w, next(iter(w.run.questions)), "skip")
    assert "without an answer" in w.handoff("a").feedback[0]


def test_an_answer_that_the_question_does_not_offer_is_refused():
    w = world()
    w.ask("a")
    say(w, next(iter(w.run.questions)), "edit", arguments={})
    assert was_refused(w)


def test_the_answer_of_an_earlier_client_to_an_agents_question_is_the_answer():
    w = world()
    w.ask("a")
    w.tell(order(HumanDecided, next(iter(w.run.questions)), decision="approve", answer="yes"))
    assert w.handoff("a").feedback == ["yes"]


# Plans, reviews and failing steps.


def risky_plan() -> Plan:
    plan = plan_of(a="", b="a")
    steps = [each.model_copy(update={"risk": Risk.CRITICAL}) if each.id == "b" else each for each in plan.steps]
    return Plan(steps=steps)


def test_a_plan_with_a_critical_step_is_approved_before_any_step_runs():
    w = world(plan=risky_plan())
    asked = first_asked(w.run)
    assert (w.run.state, asked.kind, w.dispatched) == (State.WAITING_HUMAN, Kind.PLAN, [])
    say(w, asked.request_id, "approve")
    assert (w.run.state, w.dispatched) == (State.EXECUTING, ["a"])


def test_a_person_can_change_the_plan():
    w = world(plan=risky_plan())
    changed = reworded(plan_of(x=""), 1)
    say(w, first_asked(w.run).request_id, "edit", arguments=changed.model_dump(mode="json"))
    assert (w.run.plan, w.dispatched) == (changed, ["x"])


def test_a_changed_plan_that_cannot_be_executed_is_refused_with_the_reason():
    w = world(plan=risky_plan())
    say(w, first_asked(w.run).request_id, "edit", arguments=plan_of(x="y").model_dump(mode="json"))
    assert was_refused(w)
    assert "does not exist" in w.events[-1].reason
    assert w.run.state is State.WAITING_HUMAN


def test_a_rejected_plan_is_planned_again():
    w = world(plan=risky_plan())
    say(w, first_asked(w.run).request_id, "reject", answer="not on a Friday")
    assert w.waiting(MakePlan)[0].feedback == ["not on a Friday"]


def test_a_dry_run_is_planned_without_an_approval_because_it_changes_nothing():
    assert world(plan=risky_plan(), dry_run=True).dispatched == ["a"]


def failing(**task) -> World:
    w = world(plan=plan_of(a="", b="a"), on_trouble="wait", **task)
    w.fail(w.handoff("a"), retryable=False)
    return w


def test_a_step_that_keeps_failing_is_a_question_with_what_was_tried():
    w = failing()
    asked = first_asked(w.run)
    assert (w.run.state, asked.kind, asked.step_id) == (State.WAITING_HUMAN, Kind.FAILURE, "a")
    assert asked.background.tried


def test_a_failing_step_is_retried_as_the_same_work():
    w = failing()
    work = next(each for each in w.sent if isinstance(each.message, DoStep)).message.idempotency_key
    say(w, first_asked(w.run).request_id, "approve")
    assert w.handoff("a").idempotency_key == work


def test_a_failing_step_is_retried_with_a_hint():
    w = failing()
    say(w, first_asked(w.run).request_id, "respond", answer="the table is called orders")
    assert w.handoff("a").feedback == ["the table is called orders"]


def test_a_skipped_step_counts_as_done_and_the_result_says_so():
    w = failing()
    say(w, first_asked(w.run).request_id, "skip", answer="not needed")
    w.done("b")
    w.review()
    assert w.run.state is State.COMPLETE
    assert any("was skipped by ada" in each for each in w.results[0].caveats)


def test_a_person_asks_the_reviewed_work_to_be_changed():
    w = world(plan=plan_of(a=""), on_trouble="wait")
    for number in range(3):
        w.done("a", f"try {number}")
        w.review(accepted=False)
    say(w, first_asked(w.run).request_id, "respond", answer="shorter")
    assert w.handoff("a").feedback == ["shorter"]
    w.done("a", "short")
    assert w.waiting(ReviewResult)


# Who may answer, and how many must.

KEYS = keyring(
    ada='groups = ["finance"]\nperson = "ada@example.org"',
    ada2='groups = ["finance"]\nperson = "ada@example.org"',
    bob='groups = ["finance"]',
    cleo='groups = ["heads"]',
    dan="",
)
TWO_OF_FINANCE = '[[questions]]\ntools = ["send_*"]\nstages = [{groups = ["finance"], needed = 2}]'


def test_two_different_people_of_the_group_must_approve():
    w = world(governed(TWO_OF_FINANCE, KEYS))
    id = ask(w)
    say(w, id, "approve", "ada")
    assert isinstance(w.events[-1], AnswerGiven)
    assert id in w.run.questions
    say(w, id, "approve", "ada2")
    assert was_refused(w), "two keys of one person count once"
    say(w, id, "approve", "dan")
    assert was_refused(w), "not in the group"
    say(w, id, "approve", "bob")
    assert id not in w.run.questions
    answered = next(each for each in w.events if isinstance(each, HelpAnswered))
    assert [each.by for each in answered.votes] == ["ada", "bob"]


def test_one_rejection_suffices_because_it_makes_no_call():
    w = world(governed(TWO_OF_FINANCE, KEYS))
    id = ask(w)
    say(w, id, "approve", "ada")
    say(w, id, "reject", "bob", answer="no")
    assert w.run.state is State.PLANNING


def test_a_chain_asks_a_second_group_above_an_amount():
    chain = (
        '[[questions]]\nmoney = 100\nstages = [{groups = ["finance"]}, {groups = ["heads"]}]\n'
        '[[questions]]\nstages = [{groups = ["finance"]}]'
    )
    w = world(governed(chain, KEYS))
    id = ask(w)
    say(w, id, "approve", "cleo")
    assert was_refused(w), "it is not their turn"
    say(w, id, "approve", "ada")
    assert w.run.questions[id].present_groups == ["heads"]
    say(w, id, "approve", "cleo")
    assert id not in w.run.questions
    small = ask(w, "b", PROPOSAL.model_copy(update={"moves": {"money": 50.0}}))
    say(w, small, "approve", "bob")
    assert small not in w.run.questions


def test_the_requester_of_a_task_may_not_approve_its_calls_and_may_reject_them():
    apart = "[approvals]\nseparate = true"
    w = world(governed(apart, KEYS), requested_by="ada")
    id = ask(w)
    say(w, id, "approve", "ada2")
    assert was_refused(w)
    assert "separation of duties" in w.events[-1].reason
    say(w, id, "reject", "ada2")
    assert w.run.state is State.PLANNING


def test_an_edit_clears_the_approvals_of_the_call_before_it():
    w = world(governed(TWO_OF_FINANCE, KEYS))
    id = ask(w)
    say(w, id, "approve", "ada")
    say(w, id, "edit", "bob", arguments={"to": "eve@example.org"})
    assert [each.by for each in w.run.questions[id].votes] == ["bob"]
    say(w, id, "approve", "ada", digest=PROPOSAL.digest)
    assert was_refused(w), "ada has seen another call"
    say(w, id, "approve", "ada", digest=w.run.questions[id].asked.proposal.digest)
    (settled,) = w.handoff("a").settled.values()
    assert json.loads(settled.arguments) == {"to": "eve@example.org"}


def test_a_person_passes_a_question_on_and_the_other_answers_once_in_their_place():
    w = world(governed(TWO_OF_FINANCE, KEYS))
    id = ask(w)
    w.tell(order(DelegateQuestion, id, "ada", to="dan"))
    say(w, id, "approve", "ada2")
    assert was_refused(w), "the right was passed on"
    say(w, id, "approve", "dan")
    say(w, id, "approve", "dan")
    assert was_refused(w)
    say(w, id, "approve", "bob")
    assert id not in w.run.questions


@pytest.mark.parametrize(("by", "to"), [("dan", "bob"), ("ada", "ada2"), ("ada", "stranger")])
def test_a_question_is_passed_on_only_by_those_who_are_asked_and_to_people_who_may_decide(by, to):
    w = world(governed(TWO_OF_FINANCE, KEYS))
    w.tell(order(DelegateQuestion, ask(w), by, to=to))
    assert was_refused(w)


# Withdrawing.


def test_an_answer_can_be_withdrawn_until_it_takes_effect():
    w = world(governed("[approvals]\nundo = 30"))
    id = ask(w)
    say(w, id, "approve")
    assert w.dispatched == ["a", "b"]
    w.tell(order(WithdrawAnswer, id))
    assert w.run.questions[id].votes == []
    w.fire(QuestionDue)
    assert w.dispatched == ["a", "b"]
    say(w, id, "reject", answer="on second thoughts")
    w.fire(QuestionDue)
    assert w.run.state is State.PLANNING


def test_a_decision_takes_effect_by_itself_when_the_time_to_withdraw_has_passed():
    w = world(governed("[approvals]\nundo = 30"))
    id = ask(w)
    say(w, id, "approve")
    w.fire(QuestionDue)
    assert w.dispatched == ["a", "b", "a"]
    w.tell(order(WithdrawAnswer, id))
    assert was_refused(w)


def test_the_answer_of_another_person_cannot_be_withdrawn():
    w = world(governed(TWO_OF_FINANCE, KEYS))
    id = ask(w)
    say(w, id, "approve", "ada")
    w.tell(order(WithdrawAnswer, id, "bob"))
    assert was_refused(w)
    w.tell(order(WithdrawAnswer, id, "ada2"))
    assert w.run.questions[id].votes == []


def test_an_answer_to_a_paused_run_can_be_withdrawn_until_it_is_resumed():
    w = world()
    id = ask(w)
    w.tell(PauseRun(run_id="run-1", tenant="default", by="eva", reason="lunch"))
    say(w, id, "approve")
    w.tell(order(WithdrawAnswer, id))
    w.tell(ResumeRun(run_id="run-1", tenant="default", by="eva"))
    assert w.run.questions[id].votes == []


# What time alone does.


def test_people_are_reminded_until_it_is_answered():
    w = world(governed("[approvals]\nremind = 3600"))
    id = ask(w)
    for number in (1, 2):
        w.fire(QuestionDue)
        assert isinstance(w.events[-1], QuestionReminded)
        assert w.events[-1].number == number
    say(w, id, "approve")
    assert not w.waiting(QuestionDue)


def test_a_question_that_waits_too_long_is_asked_of_another_group_besides():
    rule = '[[questions]]\nstages = [{groups = ["finance"]}]\nescalate_after = 60\nescalate_to = ["heads"]'
    w = world(governed(rule, KEYS))
    id = ask(w)
    say(w, id, "approve", "cleo")
    assert was_refused(w)
    w.fire(QuestionDue)
    assert isinstance(w.events[-1], QuestionEscalated)
    say(w, id, "approve", "cleo")
    assert id not in w.run.questions


@pytest.mark.parametrize(
    ("on_expiry", "reverify"),
    [("resume", False), ("reverify", True)],
)
def test_an_expired_question_proceeds_if_the_policy_says_so(on_expiry, reverify):
    w = world(governed(f'[approvals]\non_expiry = "{on_expiry}"'))
    ask(w)
    w.fire(WaitExpired)
    (settled,) = w.handoff("a").settled.values()
    assert (settled.digest, settled.reverify) == (PROPOSAL.digest, reverify)
    answered = next(each for each in w.events if isinstance(each, HelpAnswered))
    assert answered.by == "timekeeper"


def test_an_agents_own_question_that_expires_is_rejected_because_time_has_no_answer():
    w = world(governed('[approvals]\non_expiry = "resume"'))
    w.ask("a")
    w.fire(WaitExpired)
    assert w.run.state is State.PLANNING


def test_a_decided_question_does_not_expire():
    w = world(governed("[approvals]\nundo = 600\nexpires = 60"))
    say(w, ask(w), "approve")
    assert not w.waiting(WaitExpired)


def test_a_withdrawn_answer_brings_the_expiry_back():
    w = world(governed("[approvals]\nundo = 600\nexpires = 60"))
    id = ask(w)
    say(w, id, "approve")
    w.tell(order(WithdrawAnswer, id))
    w.fire(WaitExpired)
    assert w.run.state is State.PLANNING


# What must not let one person do what several are asked to.

CHAIN = '[[questions]]\nstages = [{groups = ["finance"]}, {groups = ["heads"]}]'
MORE = KEYS + keyring(hal='groups = ["heads"]', eve='groups = ["finance"]')


def answers(w: World) -> list[HelpAnswered]:
    return [each for each in w.events if isinstance(each, HelpAnswered)]


def test_a_rejection_stays_in_force_when_another_person_withdraws():
    w = world(governed(f"{TWO_OF_FINANCE}\nundo = 60", MORE))
    id = ask(w)
    say(w, id, "approve", "ada")
    say(w, id, "reject", "bob", answer="fraud")
    w.tell(order(WithdrawAnswer, id, "ada"))
    say(w, id, "approve", "ada")
    w.fire(QuestionDue)
    assert [(each.by, each.reply) for each in answers(w)] == [("bob", Reply.REJECT)]


def test_an_edit_in_a_later_stage_does_not_stand_in_for_the_earlier_one():
    w = world(governed(CHAIN, MORE))
    id = ask(w)
    say(w, id, "approve", "ada")
    say(w, id, "edit", "cleo", arguments={"to": "x@example.org"})
    digest = w.run.questions[id].asked.proposal.digest
    say(w, id, "approve", "hal", digest=digest)
    assert was_refused(w)
    say(w, id, "approve", "ada", digest=digest)
    assert [(vote.by, vote.stage) for vote in answers(w)[0].votes] == [("cleo", 1), ("ada", 0)]


def test_a_delegation_counts_for_its_own_stage_only():
    w = world(governed(CHAIN, MORE))
    id = ask(w)
    w.tell(order(DelegateQuestion, id, "ada", to="dan"))
    say(w, id, "approve", "bob")
    say(w, id, "approve", "dan")
    assert was_refused(w)
    assert w.run.questions[id].present_groups == ["heads"]


def test_a_person_of_a_later_stage_passes_the_question_on_in_that_stage():
    w = world(governed(CHAIN, MORE))
    id = ask(w)
    say(w, id, "approve", "ada")
    w.tell(order(DelegateQuestion, id, "hal", to="dan"))
    [passed] = w.run.questions[id].delegations
    assert passed.stage == 1
    say(w, id, "approve", "dan")
    assert not w.run.questions


def test_a_question_is_passed_on_neither_in_a_circle_nor_to_a_person_who_has_answered():
    w = world(governed(TWO_OF_FINANCE, MORE))
    id = ask(w)
    w.tell(order(DelegateQuestion, id, "ada", to="dan"))
    w.tell(order(DelegateQuestion, id, "dan", to="ada"))
    assert was_refused(w)
    say(w, id, "approve", "dan")
    w.tell(order(DelegateQuestion, id, "bob", to="dan"))
    assert was_refused(w)


def test_a_person_takes_a_question_back_that_the_other_has_not_answered():
    w = world(governed(TWO_OF_FINANCE, MORE))
    id = ask(w)
    w.tell(order(DelegateQuestion, id, "ada", to="dan"))
    w.tell(order(WithdrawAnswer, id, "ada"))
    say(w, id, "approve", "ada")
    assert [each.by for each in w.run.questions[id].votes] == ["ada"]


def test_the_requester_may_not_choose_who_approves_where_duties_are_separate():
    w = world(governed(f"{TWO_OF_FINANCE}\nseparate = true", MORE), requested_by="ada")
    w.tell(order(DelegateQuestion, ask(w), "ada", to="dan"))
    assert was_refused(w)


def test_a_plan_that_several_must_approve_cannot_be_replaced_by_one_of_them():
    w = world(governed('[[questions]]\nkinds = ["plan"]\nstages = [{needed = 2}]'), plan=risky_plan())
    id = first_asked(w.run).request_id
    say(w, id, "approve", "ada")
    say(w, id, "edit", "mallory", arguments=plan_of(x="").model_dump(mode="json"))
    assert was_refused(w)
    assert w.dispatched == []


def test_words_of_several_people_count_together_only_if_they_are_the_same():
    w = world(governed('[[questions]]\nkinds = ["question"]\nstages = [{needed = 2}]'))
    w.ask("a")
    id = next(iter(w.run.questions))
    say(w, id, "respond", "ada", answer="it was sent")
    say(w, id, "respond", "bob", answer="repeat")
    assert id in w.run.questions
    say(w, id, "respond", "cleo", answer="it was sent")
    assert answers(w)[0].answer == "it was sent"


def test_a_changed_call_that_expires_is_not_made():
    w = world(governed(f'{TWO_OF_FINANCE}\non_expiry = "resume"', MORE))
    id = ask(w)
    say(w, id, "edit", "ada", arguments={"to": "eve@example.org"})
    w.fire(WaitExpired)
    assert (answers(w)[0].reply, w.run.state) == (Reply.REJECT, State.PLANNING)


def test_an_approval_of_a_changed_call_names_the_call():
    w = world(governed(TWO_OF_FINANCE, MORE))
    id = ask(w)
    say(w, id, "edit", "ada", arguments={"to": "eve@example.org"})
    say(w, id, "approve", "bob")
    assert was_refused(w)


@pytest.mark.parametrize(("gate", "words"), [("", "send it to bob@example.org"), (TWO_OF_FINANCE, "")])
def test_words_of_one_person_permit_nothing_where_several_must_approve(gate, words):
    w = world(governed(gate, MORE))
    say(w, ask(w), "respond", "ada", answer="send it to bob@example.org")
    (settled,) = w.handoff("a").settled.values()
    assert settled.words == words


def test_an_answer_after_the_expiry_is_refused_also_if_the_timer_is_late():
    w = world(governed("[approvals]\nexpires = 60"))
    id = ask(w)
    w.now += timedelta(seconds=90)
    say(w, id, "approve")
    assert was_refused(w)


def applied(gate: str, by: str, requested_by: str) -> World:
    """A dry run that shows one call which needs an approval, applied."""
    w = world(governed(gate, MORE), plan=plan_of(a=""), dry_run=True, requested_by=requested_by)
    about = {"tool": "send_payment", "digest": "d" * 64, "verdict": "ask", "arguments": "{}"}
    w.tell(
        w.answer(w.handoff("a"), StepCompleted, output=Output(answer="x", effects=[EFFECT.model_copy(update=about)]))
    )
    w.review()
    w.tell(CarryOut(run_id="run-1", tenant="default", by=by, digest=effects_digest(w.run)))
    return w


@pytest.mark.parametrize(
    ("gate", "by", "allowed"),
    [
        ("", "dan", True),
        (TWO_OF_FINANCE, "ada", False),
        ('[[questions]]\nstages = [{groups = ["finance"]}]', "bob", True),
        ('[[questions]]\nstages = [{groups = ["finance"]}]', "dan", False),
        ("[approvals]\nseparate = true", "eve", False),
        ("[approvals]\nseparate = true", "dan", True),
    ],
)
def test_a_dry_run_is_applied_under_the_terms_of_its_calls(gate, by, allowed):
    w = applied(gate, by, requested_by="eve")
    assert w.run.carried_out_by == (by if allowed else None)
