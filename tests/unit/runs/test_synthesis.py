"""One answer from the outputs of several steps: when it is asked for, what it carries, and what happens without it."""

import pytest

from schemas.approval import CancelRun, CarryOut, HumanDecided, PauseRun, ResumeRun
from schemas.budget import Usage
from schemas.conflict import Conflict, Position
from schemas.event import State, SynthesisOmitted, SynthesisRequested
from schemas.progress import fold_progress
from schemas.step import (
    DoStep,
    HelpAsked,
    MakePlan,
    Output,
    PlanProposed,
    ResultReviewed,
    ReviewResult,
    StepCompleted,
    Synthesis,
)
from schemas.synthesis import AnswerWritten, WriteAnswer
from schemas.task import Artefact, Task
from schemas.timer import DeadlinePassed, ResultDue
from schemas.work import WorkStatus
from shared.errors import RetryableError
from shared.runs import Run, decide
from shared.runs.run import MAX_ATTEMPTS
from shared.runs.tokens import token_for
from tests.support.message_samples import ARTEFACT, EFFECT
from tests.support.questions import first_asked
from tests.support.run_world import World, plan_of

JOINED = "the answers of the last steps are joined"


def planned(shape: str = "auto", task: dict | None = None, **depends_on: str) -> World:
    made = World(Task(objective="do it", shape=shape, **(task or {}))).start()
    made.plan(plan_of(**depends_on))
    return made


def finished(*answers: tuple[str, str], **kwargs) -> World:
    """A run with parallel steps that are all done."""
    w = planned(**{key: "" for key, _ in answers or (("a", ""), ("b", ""))}, **kwargs)
    for key in list(w.run.steps):
        w.done(key, dict(answers).get(key))
    return w


def command(kind, **facts):
    return kind(run_id="run-1", tenant="default", by="eva", **facts)


def conflict(*steps: str, resolved: bool = False) -> Conflict:
    sides = [Position(step_id=each, says=f"what {each} says") for each in steps]
    return Conflict(subject="the price", positions=sides, resolved=resolved, resolution="ask", reason="two price lists")


def synthesis(answer: str) -> Synthesis:
    return Synthesis(answer=answer, facts=[], sources=[], confidence=0.9, caveats=[], conflicts=[])


def caveats(w: World) -> str:
    return "; ".join(w.results[-1].caveats)


@pytest.mark.parametrize(
    ("shape", "plan", "synthesised"),
    [
        ("auto", {"a": ""}, False),
        ("auto", {"a": "", "b": "a"}, False),
        ("auto", {"a": "", "b": "", "c": "a b"}, False),
        ("auto", {"a": "", "b": ""}, True),
        ("auto", {"a": "", "b": "a", "c": "a"}, True),
        ("supervisor", {"a": ""}, False),
        ("supervisor", {"a": "", "b": "a"}, True),
        ("supervisor", {"a": "", "b": ""}, True),
        ("router", {"a": ""}, False),
    ],
)
def test_one_answer_is_written_for_a_supervisor_and_for_a_plan_with_several_ends(shape, plan, synthesised):
    w = planned(shape, **plan)
    while steps := w.waiting(DoStep):
        w.done(steps[0].step_id)
    assert [bool(w.waiting(WriteAnswer)), bool(w.waiting(ReviewResult))] == [synthesised, not synthesised]
    w.review()
    assert w.results[0].answer == ("all in one" if synthesised else f"{max(plan)} is done")


def test_the_writer_gets_all_outputs_with_the_plan_and_the_reviewer_its_answer():
    w = planned("supervisor", a="", b="a")
    w.done("a")
    w.done("b")
    (asked,) = w.waiting(WriteAnswer)
    assert (asked.agent, asked.objective, asked.plan) == ("writer", "do it", w.run.plan)
    assert [(each.step_id, each.output.answer) for each in asked.inputs] == [("a", "a is done"), ("b", "b is done")]
    assert asked.token
    assert w.run.state is State.EXECUTING
    w.write("the answer", conflicts=[conflict("a", "b")])
    (review,) = w.waiting(ReviewResult)
    assert (review.synthesis.answer, review.synthesis.conflicts) == ("the answer", [conflict("a", "b")])
    assert w.run.state is State.REVIEWING


def test_the_result_has_the_conflicts_the_lowest_confidence_and_the_caveats_and_files_of_the_steps():
    w = planned(a="", b="")
    outputs = {
        "a": Output(answer="a", confidence=0.4, caveats=["old"], artefacts=[ARTEFACT]),
        "b": Output(answer="b", confidence=0.9),
    }
    for key, output in outputs.items():
        w.tell(w.answer(w.handoff(key), StepCompleted, output=output))
    named = [conflict("a", "b"), conflict("b", "a", resolved=True)]
    w.write("the answer", confidence=0.8, caveats=["short"], conflicts=named)
    w.review()
    (result,) = w.results
    assert (result.answer, result.confidence, result.conflicts) == ("the answer", 0.4, named)
    assert result.artefacts == [Artefact.model_validate(ARTEFACT)]
    disagree = "the steps `a`, `b` disagree, and it could not be settled: the price"
    assert result.caveats == [disagree, "short", "old"]


def test_a_writer_that_is_less_sure_than_its_steps_lowers_the_confidence():
    w = finished()
    w.write(confidence=0.1)
    w.review()
    assert (w.results[0].confidence, w.results[0].doubtful) == (0.1, True)


@pytest.mark.parametrize("steps", [("a", "nobody"), ("a", "a"), ("a",)])
def test_an_answer_whose_conflicts_are_not_between_steps_of_the_plan_counts_as_none(steps):
    w = finished()
    w.write(conflicts=[conflict(*steps)])
    w.review()
    assert w.results[0].answer == "a is done\n\nb is done"
    assert w.results[0].conflicts == []
    assert JOINED in caveats(w)


def test_a_failed_attempt_is_repeated_and_a_writer_that_fails_for_good_leaves_the_answers_joined():
    w = finished()
    for _ in range(MAX_ATTEMPTS):
        w.fail(w.waiting(WriteAnswer)[0])
    assert sum(isinstance(each, SynthesisRequested) for each in w.events) == MAX_ATTEMPTS
    w.review()
    assert (w.results[0].status, w.results[0].answer) == ("complete", "a is done\n\nb is done")
    assert f"{JOINED} as they are, and may contradict each other: the writer failed: it broke" in caveats(w)


def test_a_writer_that_asks_a_person_has_failed():
    w = finished()
    w.tell(w.answer(w.waiting(WriteAnswer)[0], HelpAsked, question="which one?"))
    assert [each.reason for each in w.events if isinstance(each, SynthesisOmitted)] == ["the writer failed: which one?"]
    assert not w.run.questions
    assert w.waiting(ReviewResult)


def test_a_used_up_budget_asks_no_writer_and_the_partial_answer_is_joined():
    w = planned(a="", b="", task={"budget": {"tokens": 50}})
    w.done("a")
    w.done("b", usage=Usage(prompt_tokens=60))
    assert not w.waiting(WriteAnswer)
    (result,) = w.results
    assert (result.error.code, result.answer) == ("budget_exhausted", "a is done\n\nb is done")
    assert JOINED in caveats(w)


def test_a_budget_that_the_writer_used_up_leaves_its_answer_as_the_partial_one():
    w = planned(a="", b="", task={"budget": {"tokens": 50}})
    w.done("a")
    w.done("b")
    asked, spent = w.waiting(WriteAnswer)[0], Usage(prompt_tokens=60)
    w.tell(w.answer(asked, AnswerWritten, synthesis=synthesis("one"), usage=spent))
    assert (w.results[0].error.code, w.results[0].answer) == ("budget_exhausted", "one")


def test_a_refused_synthesis_is_written_again_and_no_step_is_redone():
    w = finished()
    w.review(accepted=False)
    assert not w.waiting(DoStep)
    (again,) = w.waiting(WriteAnswer)
    assert again.feedback == ["because"]
    assert w.run.synthesis is None
    w.write("better")
    w.review()
    assert (w.results[0].status, w.results[0].answer) == ("complete", "better")
    assert sorted(w.dispatched) == ["a", "b"]


def test_steps_that_are_redone_are_synthesised_again():
    w = finished()
    w.review(accepted=False, redo=("b",))
    assert w.run.state is State.EXECUTING
    assert not w.waiting(WriteAnswer)
    w.done("b", "other")
    (again,) = w.waiting(WriteAnswer)
    assert [each.output.answer for each in again.inputs] == ["a is done", "other"]
    assert again.feedback == ["because"]
    w.write("both")
    w.review()
    assert w.results[0].answer == "both"


@pytest.mark.parametrize("redo", [(), ("a",)])
def test_the_same_synthesis_of_the_same_outputs_again_is_a_loop(redo):
    w = finished()
    w.write("one")
    w.review(accepted=False, redo=redo)
    for key in redo:
        w.done(key)
    w.write("one", confidence=1.0)
    (result,) = w.results
    assert (result.error.code, result.answer) == ("loop", "one")
    assert "`writer` returned the same output again" in result.error.message


def test_another_synthesis_of_the_same_outputs_is_reviewed_again():
    w = finished()
    w.review(accepted=False, redo=("a",))
    w.done("a")
    w.write("in other words")
    w.review()
    assert w.results[0].answer == "in other words"


def test_a_writer_that_failed_is_asked_again_after_a_revision():
    w = finished()
    w.fail(w.waiting(WriteAnswer)[0], retryable=False)
    w.review(accepted=False)
    assert sorted(each.step_id for each in w.waiting(DoStep)) == ["a", "b"], "the joined answers are theirs"
    w.done("a")
    w.done("b")
    w.write("now")
    w.review()
    assert (w.results[0].answer, JOINED in caveats(w)) == ("now", False)


def test_a_person_who_asks_for_changes_has_the_last_steps_redone_too():
    w = finished(task={"on_trouble": "wait"})
    w.write()
    w.fail(w.waiting(ReviewResult)[0], retryable=False)
    asked = first_asked(w.run).request_id
    w.tell(command(HumanDecided, request_id=asked, decision="reject", reply="respond", answer="count again"))
    assert sorted(each.step_id for each in w.waiting(DoStep)) == ["a", "b"]
    w.done("a", "3")
    w.done("b", "3")
    assert w.waiting(WriteAnswer)[0].feedback == ["count again"]


def test_a_person_may_accept_the_synthesis_as_it_is():
    w = finished(task={"on_trouble": "wait"})
    w.write("one")
    w.fail(w.waiting(ReviewResult)[0], retryable=False)
    w.tell(command(HumanDecided, request_id=first_asked(w.run).request_id, decision="approve", answer=""))
    assert (w.results[0].status, w.results[0].answer) == ("complete", "one")


def test_a_skipped_step_is_an_input_that_says_so():
    w = planned(a="", b="", task={"on_trouble": "wait"})
    w.fail(w.handoff("a"), retryable=False)
    w.done("b")
    w.tell(command(HumanDecided, request_id=first_asked(w.run).request_id, decision="reject", reply="skip", answer=""))
    assert "skipped" in w.waiting(WriteAnswer)[0].inputs[0].output.answer
    w.review()
    assert "step `a` failed" in caveats(w)


def test_a_rejected_result_is_planned_again_and_what_was_written_is_forgotten():
    w = finished(task={"on_trouble": "wait"})
    w.write()
    w.fail(w.waiting(ReviewResult)[0], retryable=False)
    w.tell(command(HumanDecided, request_id=first_asked(w.run).request_id, decision="reject", answer="other steps"))
    assert (w.run.state, w.run.synthesis) == (State.PLANNING, None)
    w.plan(plan_of(x="", y=""))
    w.done("x")
    w.done("y")
    (asked,) = w.waiting(WriteAnswer)
    assert (asked.work_id, asked.plan) == ("run-1/@write/1.0", plan_of(x="", y=""))


def test_an_applied_dry_run_keeps_the_answer_that_was_reviewed_and_asks_no_writer():
    w = planned(a="", b="", task={"dry_run": True})
    effects = [EFFECT.model_copy(update={"call": "a"})]
    w.tell(w.answer(w.handoff("a"), StepCompleted, output=Output(answer="would send", effects=effects)))
    w.done("b")
    w.write("the plan is to send")
    w.review()
    assert w.results[0].answer == "the plan is to send"
    w.tell(command(CarryOut, digest=w.results[0].effects_digest))
    w.done("a", "sent")
    assert not w.waiting(WriteAnswer)
    assert w.results[1].answer == "the plan is to send\n\nsent"


def test_an_answer_written_while_the_run_is_paused_counts_when_it_resumes():
    w = finished()
    w.tell(command(PauseRun, reason="lunch"))
    w.write("one")
    assert (w.run.state, w.waiting(ReviewResult)) == (State.PAUSED, [])
    w.tell(command(ResumeRun))
    w.review()
    assert w.results[0].answer == "one"


def test_a_cancelled_run_waits_for_its_writer_to_report_and_has_the_joined_answers():
    w = finished()
    w.tell(command(CancelRun, reason="no need"))
    assert w.run.settling
    w.fire(ResultDue)
    assert (w.results[0].status, w.results[0].answer) == ("cancelled", "a is done\n\nb is done")


def test_a_run_that_failed_while_its_writer_was_at_work_asks_it_again_as_the_same_work_when_resumed():
    w = finished()
    (asked,) = w.waiting(WriteAnswer)
    w.fire(DeadlinePassed)
    w.fire(ResultDue)
    assert w.results[0].error.code == "deadline"
    w.tell(command(ResumeRun))
    again = w.waiting(WriteAnswer)[-1]
    assert (again.id != asked.id, again.work_id) == (True, asked.work_id)
    w.tell(w.answer(again, AnswerWritten, synthesis=synthesis("late")))
    w.review()
    assert w.results[1].answer == "late"


def test_an_answer_that_its_writer_did_not_give_or_that_was_not_asked_for_yet_changes_nothing():
    w = finished()
    (asked,) = w.waiting(WriteAnswer)
    about = {"id": "x", "run_id": "run-1", "tenant": "default", "synthesis": synthesis("forged")}
    w.tell(AnswerWritten(**about, agent="writer", handoff_id=asked.id, token="guessed"))
    assert w.run.synthesis is None
    w.tell(AnswerWritten(**about, agent="data", handoff_id=asked.id, token=asked.token))
    assert w.run.synthesis is None
    early = f"{asked.work_id}.2"
    told = {**about, "agent": "writer", "handoff_id": early, "token": token_for(w.run, early, "writer")}
    with pytest.raises(RetryableError, match="before it was sent"):
        w.tell(AnswerWritten(**told))


def test_a_run_that_an_earlier_version_stored_is_read_and_reviewed_without_a_synthesis():
    w = finished()
    w.write()
    new = ("writing", "synthesis", "synthesis_before", "rewrite_feedback", "joined_because")
    stored = {name: value for name, value in w.run.model_dump(mode="json").items() if name not in new}
    w.run = Run.model_validate(stored)
    w.events = []
    (asked,) = w.waiting(ReviewResult)
    accepted = w.answer(asked, ResultReviewed, accepted=True)
    decision = decide(w.run, accepted, w.now, {})
    assert decision.run.state is State.COMPLETE
    assert decision.messages[0].message.answer == "a is done\n\nb is done"


@pytest.mark.parametrize("name", ["planner", "writer", "reviewer"])
def test_a_step_with_the_name_of_another_part_of_the_run_is_refused(name):
    w = World(Task(objective="do it")).start()
    w.tell(w.answer(w.waiting(MakePlan)[0], PlanProposed, plan=plan_of(**{name: ""})))
    assert w.run.feedback == [f"step id `{name}` is taken: the part of that agent has it"]


def test_the_progress_of_a_run_shows_the_writer_between_the_steps_and_the_reviewer():
    w = finished()
    w.fail(w.waiting(WriteAnswer)[0])
    w.write()
    w.review(accepted=False)
    works = fold_progress(w.events).works
    assert list(works) == ["planner", "a", "b", "writer", "reviewer"]
    assert (works["writer"].status, works["writer"].retries, len(works["writer"].attempts)) == (
        WorkStatus.RUNNING,
        1,
        3,
    )
    w.fail(w.waiting(WriteAnswer)[0], retryable=False)
    assert fold_progress(w.events).works["writer"].status is WorkStatus.FAILED
