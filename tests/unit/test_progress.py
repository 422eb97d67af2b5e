"""The progress of a run, folded from its events."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import event as e
from schemas import question_events as q
from schemas import step_events
from schemas.budget import Usage
from schemas.error import ErrorInfo
from schemas.progress import PERSON, RunProgress, ends_stream, fold_progress
from schemas.question import Vote
from schemas.step import Output
from schemas.work import WorkStatus
from shared.runs import ENDS
from tests.support.run_world import plan_of

START = datetime(2026, 1, 1, tzinfo=UTC)
BROKEN = ErrorInfo(code="broken", message="it broke", retryable=True)


def at(second):
    return START + timedelta(seconds=second)


def happened(kind, second, **fields):
    return kind(run_id="r", tenant="t", by="orchestrator", at=at(second), **fields)


def moved(second, target, **fields):
    return happened(e.Moved, second, source="EXECUTING", target=target, reason="", **fields)


def dispatched(second, step_id, handoff_id):
    about = {"step_id": step_id, "agent": "data", "objective": "count", "attempt": 1}
    return happened(step_events.StepDispatched, second, handoff_id=handoff_id, **about)


def done(second, step_id):
    about = {"output": Output(answer="7"), "seconds": 1, "usage": Usage()}
    return happened(step_events.StepDone, second, step_id=step_id, **about)


def doing(second, step_id, what, turn=None):
    return happened(e.Progressed, second, step_id=step_id, agent="data", doing=what, turn=turn)


def spent(second, tokens):
    return happened(e.Spent, second, usage=Usage(prompt_tokens=tokens), models=[])


def failed(second, handoff_id, *, final=False):
    return happened(step_events.AttemptFailed, second, handoff_id=handoff_id, error=BROKEN, final=final)


def test_works_are_the_planner_the_steps_in_the_plans_order_and_the_reviewer():
    progress = fold_progress(
        [
            happened(e.PlanRequested, 0, handoff_id="p"),
            happened(e.ReviewRequested, 1, handoff_id="v"),
            happened(e.PlanAccepted, 2, plan=plan_of(b="", a="")),
        ]
    )
    assert list(progress.works) == ["planner", "b", "a", "reviewer"]
    assert [each.status for each in progress.works.values()] == ["done", "waiting", "waiting", "running"]


def test_steps_of_a_dropped_plan_stay_only_if_they_were_started():
    progress = fold_progress(
        [
            happened(e.PlanAccepted, 0, plan=plan_of(a="", b="", c="")),
            dispatched(1, "a", "a1"),
            dispatched(1, "c", "c1"),
            happened(e.PlanAccepted, 2, plan=plan_of(c="", d="")),
        ]
    )
    assert list(progress.works) == ["a", "c", "d"]
    assert (progress.works["c"].status, len(progress.works["c"].attempts)) == ("waiting", 1)


def test_works_in_order_of_start_have_an_attempt():
    events = [
        happened(e.PlanAccepted, 0, plan=plan_of(a="", b="", c="")),
        dispatched(1, "b", "b1"),
        dispatched(2, "a", "a1"),
    ]
    assert [each.id for each in fold_progress(events).in_order_of_start] == ["b", "a"]


def test_an_activity_ends_when_the_next_one_starts_or_the_attempt_ends():
    progress = fold_progress(
        [dispatched(0, "a", "a1"), doing(1, "a", "thinking", turn=1), doing(3, "a", "query {}"), done(7, "a")]
    )
    [attempt] = progress.works["a"].attempts
    assert [(each.what, each.turn, each.seconds) for each in attempt.activities] == [
        ("thinking", 1, 2.0),
        ("query {}", None, 4.0),
    ]
    assert (attempt.status, attempt.seconds) == ("done", 7.0)


def test_usage_belongs_to_the_attempt_whose_outcome_follows():
    progress = fold_progress(
        [dispatched(0, "a", "a1"), spent(1, 5), failed(1, "a1"), dispatched(2, "a", "a2"), spent(3, 7), done(3, "a")]
    )
    work = progress.works["a"]
    assert [each.usage.prompt_tokens for each in work.attempts] == [5, 7]
    assert (work.usage.prompt_tokens, progress.usage.prompt_tokens, work.retries) == (12, 12, 1)


def test_usage_of_a_late_answer_is_added_to_its_attempt():
    late = happened(e.AnswerIgnored, 3, handoff_id="a1")
    events = [dispatched(0, "a", "a1"), failed(1, "a1"), dispatched(2, "a", "a2"), spent(3, 4), late]
    assert [each.usage.prompt_tokens for each in fold_progress(events).works["a"].attempts] == [4, 0]


@pytest.mark.parametrize(("final", "status"), [(True, WorkStatus.FAILED), (False, WorkStatus.WAITING)])
def test_a_failed_attempt_leaves_its_work_waiting_until_it_is_final(final, status):
    work = fold_progress([dispatched(0, "a", "a1"), failed(2, "a1", final=final)]).works["a"]
    assert (work.status, work.doing, work.attempts[0].error) == (status, "it broke", BROKEN)


def test_a_failure_of_an_earlier_attempt_does_not_change_the_present_one():
    work = fold_progress([dispatched(0, "a", "a1"), dispatched(1, "a", "a2"), failed(2, "a1")]).works["a"]
    assert (work.status, [each.status for each in work.attempts]) == ("running", ["failed", "running"])


def test_a_question_makes_its_step_ask_and_is_work_of_a_person():
    asked = {"step_id": "a", "question": "which year?", "options": []}
    progress = fold_progress(
        [
            dispatched(0, "a", "a1"),
            happened(step_events.StepAsked, 1, **asked),
            happened(q.HelpRequested, 1, request_id="q", about="step", **asked),
            happened(q.HelpAnswered, 5, request_id="q", decision="approve", answer="2024"),
        ]
    )
    step, person = progress.works["a"], progress.works["q"]
    assert (step.status, step.doing) == ("asking", "which year?")
    assert (person.agent, person.attempts[0].status, person.doing) == (PERSON, "approve", "2024")


def asked(second, number):
    about = {"about": "step", "step_id": "a", "question": "which year?", "options": []}
    return happened(q.HelpRequested, second, request_id=f"q{number}", **about)


def test_answers_withdrawals_and_reminders_are_the_activities_of_a_question():
    vote = Vote(by="ada", person="ada", reply="approve", answer="fine", at=START)
    progress = fold_progress(
        [
            asked(0, 1),
            asked(0, 2),
            happened(q.AnswerGiven, 1, request_id="q1", vote=vote, effective=at(60)),
            happened(q.AnswerWithdrawn, 2, request_id="q1", person="ada"),
            happened(q.QuestionDelegated, 3, request_id="q1", person="ada", to="ben"),
            happened(q.QuestionReminded, 4, request_id="q1", number=1, groups=["finance"]),
            happened(q.QuestionEscalated, 5, request_id="q1", groups=["heads"]),
            happened(q.QuestionExpired, 6, request_id="q1", then="reject"),
            happened(q.QuestionReminded, 7, request_id="unknown", number=1, groups=[]),
        ]
    )
    assert [each.id for each in progress.questions] == ["q1", "q2"]
    assert [each.what for each in progress.works["q1"].attempts[0].activities] == [
        "orchestrator answers approve, in effect from 00:01:00Z: fine",
        "orchestrator withdraws the answer of ada",
        "orchestrator passes the question on to ben",
        "orchestrator reminder 1 of finance",
        "orchestrator the question is also asked of heads",
        "orchestrator no answer in time: it counts as rejected, and the run is planned again",
    ]


def test_a_dropped_plan_closes_its_questions_and_an_answer_one():
    answer = {"decision": "reject", "reply": "skip", "answer": "no"}
    progress = fold_progress([asked(0, 1), asked(0, 2), happened(q.HelpAnswered, 1, request_id="q2", **answer)])
    assert [each.id for each in progress.questions] == ["q1"]
    assert progress.works["q2"].attempts[0].status == "skip"
    progress.apply(happened(e.PlanDropped, 2, reason="no"))
    assert progress.questions == []


@pytest.mark.parametrize("end", sorted(ENDS))
def test_the_end_of_a_run_closes_its_open_attempts(end):
    work = fold_progress([dispatched(0, "a", "a1"), doing(1, "a", "query {}"), moved(3, end)]).works["a"]
    assert (work.attempts[0].status, work.attempts[0].seconds) == ("given up", 3.0)
    assert (work.current, work.attempts[0].activities[0].seconds) == (None, 2.0)


def test_the_time_of_a_work_runs_only_while_an_attempt_is_open():
    events = [dispatched(0, "a", "a1"), failed(2, "a1"), dispatched(10, "a", "a2")]
    work = fold_progress(events).works["a"]
    assert (work.elapsed(at(13)), work.seconds) == (5.0, 2.0)
    assert fold_progress([*events, done(14, "a")]).works["a"].elapsed(at(99)) == 6.0


def test_reopened_steps_wait_again():
    reopened = happened(step_events.StepsReopened, 3, step_ids=["a", "unknown"], feedback=["no source"])
    work = fold_progress([dispatched(0, "a", "a1"), done(1, "a"), reopened]).works["a"]
    assert (work.status, work.doing) == ("waiting", "must be redone")


@pytest.mark.parametrize("state", list(e.State))
def test_a_stream_ends_with_the_move_to_an_end_unless_the_result_is_yet_to_come(state):
    assert ends_stream(moved(0, state)) == (state in ENDS)
    assert not ends_stream(moved(0, state, settling=True))
    assert ends_stream(happened(e.ResultReleased, 0, unanswered=[]))


STEPS = st.sampled_from(["a", "b"])
HANDOFFS = st.sampled_from(["h1", "h2", "h3"])
EVENTS = st.one_of(
    st.builds(dispatched, st.just(0), STEPS, HANDOFFS),
    st.builds(done, st.just(0), STEPS),
    st.builds(failed, st.just(0), HANDOFFS, final=st.booleans()),
    st.builds(doing, st.just(0), STEPS, st.just("query")),
    st.builds(spent, st.just(0), st.integers(0, 9)),
    st.builds(moved, st.just(0), st.sampled_from(list(e.State))),
)


@given(st.lists(EVENTS, max_size=20))
def test_any_events_can_be_folded_even_if_earlier_ones_are_missing(events):
    """The live stream may have been rebuilt: it can start anywhere and repeat an event."""
    progress = RunProgress()
    total = 0
    for second, event in enumerate(events):
        progress.apply(event.model_copy(update={"at": at(second)}))
        total += event.usage.prompt_tokens if isinstance(event, e.Spent) else 0
        assert progress.usage.prompt_tokens == total
        assert sum(work.usage.prompt_tokens for work in progress.works.values()) <= total
        for work in progress.works.values():
            assert (work.status is WorkStatus.RUNNING) == (work.current is not None)
            assert all(each.seconds >= 0 for each in work.attempts if each.seconds is not None)
