"""The run machine by example: what follows from what."""

from datetime import timedelta

import pytest

from schemas.approval import CancelRun, CarryOut, HumanDecided, PauseRun, ResumeRun
from schemas.budget import Budget, Usage
from schemas.event import ActionsJudged, AnswerIgnored, BudgetReached, MoveRefused, PlanRefused, State
from schemas.plan import Effect, Plan, PlannedStep, Risk
from schemas.step import DoStep, Handoff, HelpAsked, MakePlan, Output, ReviewResult, StepCompleted
from schemas.step_events import StepsReopened
from schemas.task import Artefact, Result, Task
from schemas.timer import DeadlinePassed, ResultDue, WaitExpired
from schemas.verdict import Judgement, PlannedEffect, Proposal
from shared.authorization import digest_of
from shared.runs import ENDS, LEGAL_MOVES, evolve, reissue
from shared.runs.run import MAX_REPLANS, PlannerTask, StepRecord
from tests.support.questions import first_asked, governed
from tests.support.run_world import AGENTS, START, World, plan_of, reworded

PROPOSAL = Proposal(
    call="think-1/turn-1/call-1",
    tool="send_email",
    arguments="{}",
    digest="0" * 64,
    agent="data",
    doing="a",
    risk=Risk.HIGH,
    effect=Effect.IRREVERSIBLE,
    rule="risk",
    reason="nobody named it",
    if_approved="it is called",
    if_rejected="it is not",
    confidence=1.0,
    expires=86_400,
    usable=3_600,
)


def world(**task) -> World:
    return World(Task(objective="do it", **task)).start()


def planned(**depends_on: str) -> World:
    made = world()
    made.plan(plan_of(**depends_on))
    return made


def command(kind, **facts):
    return kind(run_id="run-1", tenant="default", by="eva", **facts)


def test_a_supervised_task_goes_from_plan_to_steps_to_review_to_its_result():
    w = planned(a="", b="a")
    w.done("a")
    w.done("b", "the answer")
    w.review()
    assert w.run.state is State.COMPLETE
    (result,) = w.results
    assert (result.status, result.answer, result.confidence) == ("complete", "the answer", 0.8)


def test_a_single_agent_needs_no_planner():
    w = world(shape="single", agent="data")
    assert w.waiting(MakePlan) == []
    w.done("data")
    w.review()
    assert w.results[0].status == "complete"


def test_independent_steps_are_dispatched_together_and_dependent_ones_after_them():
    w = planned(a="", b="", c="a b")
    assert w.dispatched == ["a", "b"]
    w.done("b")
    assert w.dispatched == ["a", "b"]
    w.done("a")
    assert w.dispatched == ["a", "b", "c"]
    assert [each.step_id for each in w.handoff("c").inputs] == ["a", "b"]


def test_half_and_most_of_the_budget_are_noticed_once_and_the_rest_is_done_by_cheaper_means():
    w = world(budget=Budget(tokens=100))
    w.plan(plan_of(a="", b="a", c="b", d="c"), usage=Usage(prompt_tokens=40, completion_tokens=15))
    assert not w.handoff("a").frugal
    w.done("a", usage=Usage(prompt_tokens=30))
    w.done("b", usage=Usage(prompt_tokens=1))
    assert [(each.share, each.limit) for each in w.events if isinstance(each, BudgetReached)] == [
        (0.5, "tokens"),
        (0.8, "tokens"),
    ]
    assert w.handoff("c").frugal
    assert w.handoff("c").budget == Budget(tokens=100)
    w.done("c")
    w.done("d")
    w.review()
    assert "80%" in w.results[0].caveats[0]


def test_a_limit_of_nothing_is_reached_by_the_first_use():
    assert Budget(tool_calls=0).share(Usage()) == (0.0, "tool_calls")
    assert Budget(tool_calls=0).share(Usage(tool_calls=1)) == (1.0, "tool_calls")


def test_a_step_sees_what_the_steps_it_builds_on_were_built_on():
    w = planned(a="", b="a", c="b", d="")
    for step in "abd":
        w.done(step)
    assert [each.step_id for each in w.handoff("c").inputs] == ["a", "b"]


@pytest.mark.parametrize(
    ("plan", "word"),
    [
        (plan_of(a="b", b="a"), "cycle"),
        (plan_of(a="a"), "cycle"),
        (plan_of(a="z"), "does not exist"),
        (Plan(steps=[PlannedStep(id="a", objective="x", agent="nobody")]), "nobody"),
        (Plan(steps=[PlannedStep(id="a", objective="x", agent="data", tools=["hammer"])]), "hammer"),
        (Plan(steps=[PlannedStep(id="a", objective="x", agent="data")] * 2), "twice"),
        (plan_of(**{f"s{n}": "" for n in range(13)}), "exceed"),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_asked_for_again_with_the_reasons_and_given_up_after_three(plan, word):
    w = world()
    for attempt in (1, 2, 3):
        (asked,) = w.waiting(MakePlan)
        assert asked.attempt == attempt
        assert attempt == 1 or word in " ".join(asked.feedback)
        w.plan(reworded(plan, attempt))
    assert sum(isinstance(event, PlanRefused) for event in w.events) == 3
    assert w.dispatched == []
    assert (w.results[0].status, w.results[0].error.code) == ("failed", "no_plan")
    assert word in w.results[0].error.message


def test_a_router_takes_one_step_only():
    w = world(shape="router")
    w.plan(plan_of(a="", b=""))
    assert "exactly one" in w.waiting(MakePlan)[0].feedback[0]
    w.plan(plan_of(a=""))
    assert w.dispatched == ["a"]


def test_a_step_that_may_succeed_later_is_retried_after_growing_delays_and_then_given_up():
    w = planned(a="")
    delays = []
    for _ in range(12):
        handoff = w.handoff("a")
        outgoing = w.open[handoff.id]
        delays.append((outgoing.due - w.now).total_seconds() if outgoing.due else 0)
        assert handoff.idempotency_key == "run-1/a/0.0", "every attempt goes on with the same work"
        w.fail(handoff)
    assert delays[0] == 0
    assert all(0 <= delay <= min(2 * 2**n, 15) for n, delay in enumerate(delays[1:]))
    assert max(delays) > 4
    assert (w.results[0].status, w.results[0].error.code) == ("failed", "broken")


def test_a_planner_that_may_succeed_later_is_asked_again_after_a_delay():
    w = world()
    w.fail(w.waiting(MakePlan)[0])
    (again,) = w.waiting(MakePlan)
    assert w.open[again.id].due > w.now


def test_a_step_that_cannot_succeed_is_not_retried_and_the_rest_is_a_partial_answer():
    w = planned(a="", b="")
    w.done("a", "half of it")
    w.fail(w.handoff("b"), retryable=False)
    (result,) = w.results
    assert (result.status, result.answer) == ("failed", "half of it")


def test_a_reviewer_can_have_a_step_and_all_that_builds_on_it_done_again_twice():
    w = planned(a="", b="a", c="")
    for step in "acb":
        w.done(step)
    w.review(accepted=False, redo=("a",))
    assert w.waiting(DoStep)[0].feedback == ["because"]
    for _ in range(2):
        w.done("a", f"{len(w.events)}")
        w.done("b")
        w.review(accepted=False, redo=("a",))
    assert w.dispatched.count("c") == 1
    assert (w.results[0].status, w.results[0].error.code) == ("failed", "not_accepted")


def test_a_question_of_an_agent_waits_for_a_person_and_the_answer_reaches_it():
    w = planned(a="")
    w.ask("a")
    assert w.run.state is State.WAITING_HUMAN
    w.now += timedelta(hours=2)
    deadline = w.run.deadline
    w.tell(command(HumanDecided, request_id=first_asked(w.run).request_id, decision="approve", answer="yes, do"))
    assert w.run.deadline == deadline + timedelta(hours=2)
    assert w.handoff("a").feedback == ["yes, do"]
    w.done("a")
    w.review()
    assert w.results[0].status == "complete"


def test_two_questions_are_open_at_the_same_time_and_each_has_its_own_answer():
    w = planned(a="", b="")
    w.ask("a")
    assert w.run.state is State.EXECUTING
    w.ask("b")
    first, second = w.run.questions
    assert w.run.state is State.WAITING_HUMAN
    w.tell(command(HumanDecided, request_id=second, decision="approve", answer="yes"))
    assert (w.run.state, w.run.questions.keys()) == (State.EXECUTING, {first})
    assert w.dispatched == ["a", "b", "b"]


def test_a_rejection_leads_to_a_new_plan_with_its_reason_and_the_third_ends_the_run():
    w = planned(a="")
    for number in (1, 2, 3):
        w.ask("a")
        w.tell(command(HumanDecided, request_id=first_asked(w.run).request_id, decision="reject", answer="too risky"))
        if number < 3:
            assert w.waiting(MakePlan)[0].feedback == ["too risky"]
            w.plan(reworded(plan_of(a=""), number))
    assert (w.results[0].status, w.results[0].error.code) == ("failed", "rejected")


def test_a_decision_counts_once_and_only_for_what_is_asked():
    w = planned(a="")
    w.ask("a")
    decision = command(HumanDecided, request_id=first_asked(w.run).request_id, decision="approve", answer="")
    w.tell(command(HumanDecided, request_id="other", decision="approve", answer=""))
    w.tell(decision)
    w.tell(decision)
    assert sum(isinstance(event, MoveRefused) for event in w.events) == 2
    assert w.dispatched == ["a", "a"]


def test_a_question_without_an_answer_ends_the_run_if_the_policy_says_so():
    w = planned(a="")
    w.governance = governed('[approvals]\non_expiry = "fail"')
    w.ask("a")
    w.fire(WaitExpired)
    assert (w.results[0].status, w.results[0].error.code) == ("failed", "no_decision")


def test_a_question_without_an_answer_leads_to_a_new_plan_and_the_third_ends_the_run():
    w = planned(a="")
    for number in range(3):
        assert not w.results
        w.ask("a")
        w.fire(WaitExpired)
        if number < 2:
            w.plan(reworded(plan_of(a=""), number))
    assert (w.results[0].status, w.results[0].error.code) == ("failed", "no_decision")


def test_trouble_waits_for_a_person_if_the_task_wants_that():
    w = world(on_trouble="wait")
    for number in range(3):
        w.plan(reworded(plan_of(a="a"), number))
    assert w.run.state is State.WAITING_HUMAN
    w.tell(command(HumanDecided, request_id=first_asked(w.run).request_id, decision="approve", answer="keep it simple"))
    assert w.waiting(MakePlan)[0].feedback == ["keep it simple"]


def test_a_paused_run_keeps_what_comes_and_hands_out_nothing_until_it_is_resumed():
    w = planned(a="", b="a")
    w.tell(command(PauseRun, reason="lunch"))
    w.done("a")
    assert w.dispatched == ["a"]
    w.tell(command(ResumeRun))
    assert w.dispatched == ["a", "b"]


def test_a_run_paused_while_it_waits_for_a_person_waits_again_afterwards():
    w = planned(a="")
    w.ask("a")
    w.tell(command(PauseRun, reason="lunch"))
    w.tell(command(ResumeRun))
    assert w.run.state is State.WAITING_HUMAN
    w.tell(command(HumanDecided, request_id=first_asked(w.run).request_id, decision="approve", answer=""))
    assert w.run.state is State.EXECUTING


@pytest.mark.parametrize("prepare", ["planning", "executing", "waiting", "paused", "reviewing"])
def test_a_run_can_be_cancelled_wherever_it_rests(prepare):
    w = world() if prepare == "planning" else planned(a="")
    if prepare == "waiting":
        w.ask("a")
    if prepare == "paused":
        w.tell(command(PauseRun, reason="lunch"))
    if prepare == "reviewing":
        w.done("a")
    w.tell(command(CancelRun, reason="no need"))
    assert w.run.state is State.CANCELLED
    w.fire(ResultDue)
    assert [each.status for each in w.results] == ["cancelled"]


def test_the_deadline_ends_the_run_but_not_while_it_is_paused_or_a_person_is_asked():
    running, paused, asking = planned(a=""), planned(a=""), planned(a="")
    paused.tell(command(PauseRun, reason="lunch"))
    asking.ask("a")
    for w in (running, paused, asking):
        w.fire(DeadlinePassed)
    running.fire(ResultDue)
    assert running.results[0].error.code == "deadline"
    assert paused.run.state is State.PAUSED
    assert asking.run.state is State.WAITING_HUMAN


def test_spending_beyond_the_budget_ends_the_run_before_the_next_dispatch():
    w = World(Task(objective="x", budget=Budget(tokens=100))).start()
    w.plan(plan_of(a="", b="a"))
    spent = Usage(prompt_tokens=90, completion_tokens=20)
    w.tell(w.answer(w.handoff("a"), StepCompleted, output=Output(answer="a"), usage=spent))
    assert w.dispatched == ["a"]
    assert (w.results[0].error.code, w.results[0].answer) == ("budget_exhausted", "a")


def test_a_late_a_repeated_and_an_unknown_answer_change_nothing_but_leave_a_record():
    w = planned(a="", b="a")
    handoff = w.handoff("a")
    answer = w.answer(handoff, StepCompleted, output=Output(answer="once"))
    w.tell(answer)
    w.tell(answer)
    w.tell(answer.model_copy(update={"handoff_id": "run-1/z/9"}))
    assert sum(isinstance(event, AnswerIgnored) for event in w.events) == 2
    assert w.run.steps["a"].output.answer == "once"


def test_a_task_that_is_late_or_names_no_known_agent_is_rejected():
    late = world(deadline=START - timedelta(seconds=1))
    nobody = world(shape="single", agent="nobody")
    assert [w.results[0].error.code for w in (late, nobody)] == ["deadline", "unknown_agent"]
    assert "data" in nobody.results[0].error.message


def test_a_result_brings_artefacts_caveats_and_the_lowest_confidence_together():
    w = planned(a="", b="a")
    chart = Artefact(name="a.png", media_type="image/png", size=1, uri="blob:1")
    first = Output(answer="a", confidence=0.9, caveats=["rough"], artefacts=[chart])
    w.tell(w.answer(w.handoff("a"), StepCompleted, output=first))
    second = Output(answer="b", confidence=0.6, caveats=["rough", "late"])
    w.tell(w.answer(w.handoff("b"), StepCompleted, output=second))
    assert isinstance(w.waiting(ReviewResult)[0], ReviewResult)
    w.review()
    (result,) = w.results
    assert (result.artefacts, result.caveats, result.confidence) == ([chart], ["rough", "late"], 0.6)


@pytest.mark.parametrize(("confidence", "doubtful"), [(0.1, True), (0.2, False), (0.6, False)])
def test_a_complete_result_with_next_to_no_confidence_is_flagged(confidence, doubtful):
    w = planned(a="")
    w.tell(w.answer(w.handoff("a"), StepCompleted, output=Output(answer="Nothing was found.", confidence=confidence)))
    w.review()
    (result,) = w.results
    assert (result.status, result.doubtful) == ("complete", doubtful)


def test_the_table_has_every_state_and_leads_out_of_all_but_the_ends():
    assert set(LEGAL_MOVES) == set(State)
    assert {State.COMPLETE, State.REJECTED, State.FAILED, State.CANCELLED} == ENDS
    assert all(reason for targets in LEGAL_MOVES.values() for reason in targets.values())


def test_a_failed_run_is_taken_up_again_at_the_step_that_failed_and_ends_with_another_result():
    w = planned(a="", b="a")
    w.done("a")
    failed = w.handoff("b")
    w.fail(failed, retryable=False)
    assert w.run.state is State.FAILED
    w.now += timedelta(hours=1)
    w.tell(command(ResumeRun))
    again = w.handoff("b")
    assert (w.run.state, again.id != failed.id, again.idempotency_key) == (
        State.EXECUTING,
        True,
        failed.idempotency_key,
    )
    assert w.dispatched == ["a", "b", "b"]
    w.done("b")
    w.review()
    assert [(result.status, each.id) for each, result in zip(results_of(w), w.results, strict=True)] == [
        ("failed", "run-1/result"),
        ("complete", "run-1/result/1"),
    ]
    assert w.results[1].error is None


def test_work_in_flight_when_a_run_failed_is_dispatched_again_as_the_same_work():
    w = planned(a="", b="")
    running, failed = w.handoff("a"), w.handoff("b")
    w.fail(failed, retryable=False)
    w.tell(w.answer(running, StepCompleted, output=Output(answer="too late")))
    w.tell(command(ResumeRun))
    assert w.handoff("a").idempotency_key == running.idempotency_key


def test_a_person_settles_a_call_with_an_unknown_outcome_and_the_same_work_continues():
    w = planned(a="")
    asked = w.handoff("a")
    w.tell(w.answer(asked, HelpAsked, question="was it sent?", call="think-1/turn-1/call-1"))
    assert w.run.state is State.WAITING_HUMAN
    decision = {"request_id": first_asked(w.run).request_id, "decision": "approve", "answer": "it was"}
    w.tell(command(HumanDecided, **decision))
    again = w.handoff("a")
    (said,) = again.settled.values()
    assert (said.answer, said.request_id) == ("it was", decision["request_id"])
    assert again.idempotency_key == asked.idempotency_key


def a_run_that_asks_to_send() -> tuple[World, DoStep]:
    w = planned(a="")
    asked = w.handoff("a")
    w.tell(w.answer(asked, HelpAsked, question="may it?", call=PROPOSAL.call, proposal=PROPOSAL))
    return w, asked


def decision(w: World, **facts) -> HumanDecided:
    return command(HumanDecided, request_id=first_asked(w.run).request_id, **({"decision": "approve"} | facts))


def test_a_permission_goes_to_the_same_work_with_the_digest_it_is_for_and_its_end():
    w, asked = a_run_that_asks_to_send()
    assert (first_asked(w.run).proposal, first_asked(w.run).expires) == (PROPOSAL, w.now + timedelta(days=1))
    w.tell(decision(w, digest=PROPOSAL.digest))
    again = w.handoff("a")
    (said,) = again.settled.values()
    assert (said.asked, said.digest, said.until) == ("permission", PROPOSAL.digest, w.now + timedelta(hours=1))
    assert again.idempotency_key == asked.idempotency_key


def test_a_decision_about_another_call_than_is_asked_about_changes_nothing():
    w, _ = a_run_that_asks_to_send()
    w.tell(decision(w, digest="1" * 64))
    assert w.run.state is State.WAITING_HUMAN
    assert isinstance(w.events[-1], MoveRefused)


def test_a_permission_is_given_once():
    w, _ = a_run_that_asks_to_send()
    first = decision(w)
    w.tell(first)
    w.tell(first)
    assert isinstance(w.events[-1], MoveRefused)
    assert len(w.dispatched) == 2


def test_a_rejected_plan_is_replanned_with_the_reason():
    w, _ = a_run_that_asks_to_send()
    w.tell(decision(w, decision="reject", answer="not to them"))
    assert w.run.state is State.PLANNING
    assert w.run.feedback == ["not to them"]


def test_a_finally_refused_call_is_asked_about_again_when_the_run_is_resumed():
    w, _ = a_run_that_asks_to_send()
    for number in range(MAX_REPLANS):
        w.tell(decision(w, decision="reject", answer=f"no {number}"))
        w.plan(plan_of(**{f"a{number}": ""}))
        w.tell(w.answer(w.handoff(f"a{number}"), HelpAsked, question="may it?", call=PROPOSAL.call, proposal=PROPOSAL))
    w.tell(decision(w, decision="reject", answer="no"))
    assert w.run.state is State.FAILED
    w.tell(command(ResumeRun))
    assert w.run.state is State.WAITING_HUMAN
    assert all(not record.settled for record in w.run.steps.values())


def test_a_request_expires_when_the_orchestrators_policy_says():
    w = planned(a="")
    w.governance = governed("[approvals]\nexpires = 60")
    w.tell(w.answer(w.handoff("a"), HelpAsked, question="may it?", call=PROPOSAL.call, proposal=PROPOSAL))
    timer = next(each for each in w.sent if isinstance(each.message, WaitExpired))
    assert timer.due == w.now + timedelta(seconds=60)
    w.now = timer.due
    w.tell(timer.message)
    assert w.run.state is State.PLANNING


def test_verdicts_of_the_gate_are_part_of_the_runs_history():
    w = planned(a="")
    judged = [Judgement(call="c", action="tool_call", name="query", verdict="allow", rule="risk")]
    w.tell(w.answer(w.handoff("a"), StepCompleted, output=Output(answer="x"), judged=judged))
    assert [each.judged for each in w.events if isinstance(each, ActionsJudged)] == [judged]


EFFECT = PlannedEffect(
    call="think-1/turn-1/call-1",
    tool="send_email",
    arguments='{"to": ["ada@example.org"]}',
    digest="a" * 64,
    risk=Risk.MEDIUM,
    effect=Effect.IRREVERSIBLE,
    verdict="allow",
    rule="risk",
)


@pytest.mark.parametrize("memory", [True, False])
def test_every_request_to_an_agent_says_if_memories_may_be_recalled(memory):
    w = world(memory=memory)
    w.plan(plan_of(a=""))
    w.done("a")
    requests = [each.message for each in w.sent if isinstance(each.message, Handoff)]
    assert {type(each) for each in requests} >= {MakePlan, DoStep}
    assert {each.memory for each in requests} == {memory}


def dry_run() -> World:
    """A dry run that has ended; its second step would have sent something."""
    w = world(dry_run=True)
    w.plan(plan_of(a="", b="a"))
    w.done("a")
    w.tell(w.answer(w.handoff("b"), StepCompleted, output=Output(answer="would send", effects=[EFFECT])))
    w.review()
    return w


def test_the_calls_of_a_dry_run_are_made_as_shown_and_no_others():
    w = dry_run()
    (shown,) = w.results
    assert shown.effects == [EFFECT]
    w.tell(command(CarryOut, digest=shown.effects_digest))
    (asked,) = w.waiting(DoStep)
    assert (asked.step_id, asked.effects, asked.dry_run) == ("b", [EFFECT], False)
    ((call, said),) = asked.settled.items()
    expected = digest_of("default", "run-1", asked.idempotency_key, call, "/send_email", {"to": ["ada@example.org"]})
    assert (said.digest, said.asked) == (expected, "permission")
    w.tell(w.answer(asked, StepCompleted, output=Output(answer="sent")))
    assert w.run.state is State.COMPLETE
    assert [each.answer for each in w.results] == ["would send", "would send\n\nsent"]
    assert [(each.effects, each.applied_by) for each in w.results] == [([EFFECT], None), ([EFFECT], "eva")]


@pytest.mark.parametrize("digest", ["0" * 64, None])
def test_calls_that_were_not_shown_or_are_already_made_are_not_applied(digest):
    w = dry_run()
    order = command(CarryOut, digest=digest or w.results[0].effects_digest)
    if digest is None:
        w.tell(order)
        w.tell(w.answer(w.handoff("b"), StepCompleted, output=Output(answer="sent")))
    w.tell(order)
    assert isinstance(w.events[-1], MoveRefused)
    assert w.run.state is State.COMPLETE


def test_a_run_that_was_no_dry_run_has_nothing_to_carry_out():
    w = planned(a="")
    w.done("a")
    w.review()
    w.tell(command(CarryOut, digest="0" * 64))
    assert isinstance(w.events[-1], MoveRefused)


def carried_out(showing: str, **depends_on: str) -> World:
    """A dry run of that plan whose steps named in `showing` have each shown a call, approved now."""
    w = world(dry_run=True)
    w.plan(plan_of(**depends_on))
    while w.waiting(DoStep):
        key = w.waiting(DoStep)[0].step_id
        effects = [EFFECT.model_copy(update={"call": key})] if key in showing else []
        w.tell(w.answer(w.handoff(key), StepCompleted, output=Output(answer=key, effects=effects)))
    w.review()
    w.tell(command(CarryOut, digest=w.results[0].effects_digest))
    return w


def asked_of(w: World) -> list[str]:
    return [each.step_id for each in w.waiting(DoStep)]


def test_a_step_that_shows_no_call_stays_done_between_two_that_are_carried_out():
    w = carried_out("ab", a="", c="a", b="c")
    assert asked_of(w) == ["a"]
    w.done("a", "sent")
    assert asked_of(w) == ["b"]
    assert [(each.step_id, each.output.answer) for each in w.handoff("b").inputs] == [("a", "sent"), ("c", "c")]
    w.done("b")
    assert w.run.state is State.COMPLETE


@pytest.mark.parametrize(
    ("plan", "order"),
    [
        ({"c": "", "a": "", "b": ""}, "cab"),
        ({"b": "a", "c": "b", "a": ""}, "abc"),
        ({"a": "", "c": "b", "b": "a"}, "abc"),
    ],
)
def test_calls_are_made_one_step_after_the_other_in_the_order_in_which_they_were_shown(plan, order):
    w = carried_out("abc", **plan)
    assert [each.call for each in w.results[0].effects] == list(order)
    for key in order:
        assert asked_of(w) == [key]
        w.done(key)
    assert w.run.state is State.COMPLETE


def test_a_call_that_cannot_be_made_leaves_those_after_it_unmade_and_resumed_it_is_the_first_to_be_made():
    w = carried_out("abc", a="", b="", c="")
    w.done("a")
    first = w.handoff("b")
    w.fail(first, retryable=False)
    assert (w.run.state, asked_of(w)) == (State.FAILED, [])
    w.now += timedelta(days=1)
    w.tell(command(ResumeRun))
    assert asked_of(w) == ["b"]
    assert w.handoff("b").settled == first.settled
    w.done("b")
    w.done("c")
    assert w.run.state is State.COMPLETE


def test_no_resume_prolongs_the_approval_of_a_dry_run_and_after_its_end_each_call_is_asked_about():
    w = carried_out("a", a="")
    first = w.handoff("a")
    ((place, approved),) = first.settled.items()
    w.fail(first, retryable=False)
    w.now += timedelta(days=6)
    w.tell(command(ResumeRun))
    assert w.handoff("a").settled == {place: approved}
    assert not approved.permits(approved.digest, w.now)
    proposal = PROPOSAL.model_copy(update={"call": place, "digest": approved.digest})
    w.tell(w.answer(w.handoff("a"), HelpAsked, question="may it?", call=place, proposal=proposal))
    w.tell(decision(w))
    assert w.handoff("a").settled[place].permits(approved.digest, w.now)


def test_resuming_does_not_make_a_single_approval_permanent():
    w = carried_out("a", a="")
    w.tell(w.answer(w.handoff("a"), HelpAsked, question="may it?", call=PROPOSAL.call, proposal=PROPOSAL))
    w.tell(decision(w))
    until = w.handoff("a").settled[PROPOSAL.call].until
    w.fail(w.handoff("a"), retryable=False)
    w.now += timedelta(hours=1)
    w.tell(command(ResumeRun))
    assert w.handoff("a").settled[PROPOSAL.call].until == until


@pytest.mark.parametrize("seconds", [60.0, 2_505_600.0])
def test_after_a_rebuild_a_person_is_waited_for_as_long_as_was_said(seconds):
    w = planned(a="")
    w.governance = governed(f"[approvals]\nexpires = {seconds}")
    w.tell(w.answer(w.handoff("a"), HelpAsked, question="may it?", call=PROPOSAL.call, proposal=PROPOSAL))
    (timer,) = (each for each in reissue(w.run, w.now, AGENTS) if isinstance(each.message, WaitExpired))
    assert timer.due == w.now + timedelta(seconds=seconds)


def test_restarted_work_has_no_earlier_call_to_be_asked_about():
    w, _ = a_run_that_asks_to_send()
    assert w.run.steps["a"].uncertain == PROPOSAL.call
    about = {"run_id": "run-1", "tenant": "default", "at": w.now, "by": "reviewer"}
    anew = evolve(w.run, StepsReopened(**about, step_ids=["a"], feedback=[])).steps["a"]
    assert (anew.status, anew.uncertain, anew.proposal) == ("waiting", None, None)


def test_an_answer_to_an_agents_own_question_restarts_the_work():
    w = planned(a="")
    asked = w.handoff("a")
    w.ask("a")
    w.tell(command(HumanDecided, request_id=first_asked(w.run).request_id, decision="approve", answer="yes"))
    again = w.handoff("a")
    assert (again.idempotency_key != asked.idempotency_key, again.feedback) == (True, ["yes"])


def results_of(w: World) -> list:
    return [each for each in w.sent if isinstance(each.message, Result)]


def test_counters_are_stored_under_the_names_that_earlier_releases_read():
    made = planned(a="").run
    for work, kind in ((made.steps["a"], StepRecord), (made.planning, PlannerTask)):
        stored = work.model_dump_json()
        assert ('"tries":' in stored, '"attempts":' in stored, "handoffs_in_round" in stored) == (True, True, False)
        assert kind.model_validate_json(stored) == work
    assert '"tries":1' in made.steps["a"].model_dump_json()
