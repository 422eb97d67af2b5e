"""A run's whole life under any schedule: faults of every agent, people, timers late and twice, tight limits.

`World.tell` checks at every decision: legal moves, deterministic, nothing mutated, unique ids, events fold to the run.
"""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from schemas.approval import CancelRun, HumanDecided, PauseRun, ResumeRun
from schemas.budget import Budget, Usage
from schemas.conflict import Conflict, Position
from schemas.error import ErrorInfo
from schemas.event import RunResumed, State
from schemas.message import Message
from schemas.progress import fold_progress
from schemas.step import (
    Answer,
    DoStep,
    Handoff,
    HandoffFailed,
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
from schemas.task import Result, Task
from schemas.timer import DeadlinePassed, ResultDue, WaitExpired
from schemas.work import WorkStatus
from shared.runs import ENDS, Intake, Run, awaited_handoffs
from shared.runs.run import MAX_ATTEMPTS, MAX_PLANS
from shared.runs.synthesis import needs_synthesis
from tests.support.questions import first_asked
from tests.support.run_world import AFTER_THE_END, START, World, plan_of

RESTING = ENDS | {State.PAUSED, State.WAITING_HUMAN}
PICK = st.integers(0, 11)
SELDOM = st.sampled_from([False] * 7 + [True])
"""Moves that end most lives are drawn seldom, so that a run progresses before one happens."""
ANSWERS = {
    MakePlan: PlanProposed,
    DoStep: StepCompleted,
    WriteAnswer: AnswerWritten,
    ReviewResult: ResultReviewed,
}


@st.composite
def plans(draw, most: int = 5):
    """A plan without circles: each step may depend on any before it."""
    count = draw(st.integers(1, most))
    needs = {f"s{n}": [f"s{m}" for m in range(n) if draw(st.booleans())] for n in range(count)}
    return plan_of(**{key: " ".join(each) for key, each in needs.items()})


@st.composite
def tasks(draw):
    shape = draw(st.sampled_from(["auto", "supervisor", "router", "single"]))
    return Task(
        objective="do it",
        shape=shape,
        agent="data" if shape == "single" else None,
        on_trouble=draw(st.sampled_from(["fail", "wait"])),
        budget=Budget(tokens=draw(st.sampled_from([60, 400_000])), steps=draw(st.sampled_from([2, 12]))),
        deadline=draw(st.sampled_from([None, START + timedelta(seconds=90), START + timedelta(hours=3)])),
    )


def command(kind, **facts):
    return kind(run_id="run-1", tenant="default", by="eva", **facts)


def synthesis(pick: int) -> Synthesis:
    """A synthesis; one of four names a step that no plan has."""
    sides = [Position(step_id=id, says="so") for id in ("s0", "nothing")]
    facts = {"subject": "it", "positions": sides, "resolved": False, "resolution": "", "reason": ""}
    conflicts = [Conflict(**facts)] if pick % 4 == 0 else []
    answer = {"answer": f"in one {pick}", "facts": [], "sources": [], "confidence": 1.0, "caveats": []}
    return Synthesis(**answer, conflicts=conflicts)


def facts_for(kind: type[Answer], plan, accepted: bool, redo: list[str], pick: int) -> dict:
    return {
        PlanProposed: {"plan": plan},
        StepCompleted: {"output": Output(answer=f"found {pick % 5}")},
        AnswerWritten: {"synthesis": synthesis(pick)},
        ResultReviewed: {"accepted": accepted, "reasons": ["because"], "redo": redo},
    }[kind]


class Life(RuleBasedStateMachine):
    """One run, and every party that can send it a message."""

    @initialize(task=tasks())
    def start(self, task):
        self.world = World(task).start()
        self.told: list[Message] = []
        self.spent = Usage()

    @property
    def run(self) -> Run:
        return self.world.run

    def say(self, message: Message) -> None:
        """Send the run a message, and check the decision against the invariants of every decision."""
        ended, events, sent = self.run.state in ENDS, len(self.world.events), len(self.world.sent)
        self.world.now += timedelta(milliseconds=1)
        self.world.tell(message)
        if isinstance(message, Answer):
            self.spent += message.usage
        if ended and not any(isinstance(event, RunResumed) for event in self.world.events[events:]):
            assert all(isinstance(event, AFTER_THE_END) for event in self.world.events[events:])
            assert all(isinstance(each.message, Result) for each in self.world.sent[sent:])
        if self.run.state in RESTING:
            assert not any(isinstance(each.message, Handoff) for each in self.world.sent[sent:])
        self.told.append(message)

    def answer(self, pick: int, kind: type[Answer] | None = None, **facts) -> None:
        """Answer one of the open handoffs, which may be one that the run no longer awaits."""
        if handoffs := self.world.waiting(Handoff):
            handoff = handoffs[pick % len(handoffs)]
            kind = kind or ANSWERS[type(handoff)]
            facts = facts or facts_for(kind, plan_of(a=""), True, [], pick)
            self.say(self.world.answer(handoff, kind, usage=Usage(prompt_tokens=pick), models=["m"], **facts))
            if kind not in (ANSWERS[type(handoff)], HandoffFailed, HelpAsked):
                self.world.open[handoff.id] = next(each for each in self.world.sent if each.id == handoff.id)

    @precondition(lambda self: self.world.waiting(MakePlan))
    @rule(plan=st.one_of(plans(), plans(most=1), st.just(plan_of(a="b", b="a"))))
    def a_planner_proposes(self, plan):
        (asked, *_) = self.world.waiting(MakePlan)
        self.say(self.world.answer(asked, PlanProposed, plan=plan))

    @rule(picks=st.lists(PICK, min_size=1, max_size=4))
    def agents_answer(self, picks):
        for pick in picks:
            self.answer(pick)

    @precondition(lambda self: self.world.waiting(ReviewResult))
    @rule(redo=st.lists(st.sampled_from(["s0", "s1", "a", "nothing"]), max_size=2))
    def a_reviewer_wants_changes(self, redo):
        asked = self.world.waiting(ReviewResult)[-1]
        self.say(self.world.answer(asked, ResultReviewed, accepted=False, reasons=["because"], redo=redo))

    @rule(pick=PICK, for_good=SELDOM)
    def an_agent_fails(self, pick, for_good):
        self.answer(pick, HandoffFailed, error=ErrorInfo(code="broken", message="it broke", retryable=not for_good))

    @rule(pick=PICK)
    def an_agent_asks_a_person(self, pick):
        self.answer(pick, HelpAsked, question="may I?")

    @rule(pick=PICK, kind=st.sampled_from(sorted(ANSWERS.values(), key=str)))
    def an_agent_answers_something_else(self, pick, kind):
        self.answer(pick, kind)

    @precondition(lambda self: first_asked(self.run))
    @rule(decision=st.sampled_from(["approve", "approve", "reject"]), answer=st.sampled_from(["", "so be it"]))
    def a_person_decides(self, decision, answer):
        self.say(command(HumanDecided, request_id=first_asked(self.run).request_id, decision=decision, answer=answer))

    @rule(meant=SELDOM)
    def an_operator_pauses(self, meant):
        if meant:
            self.say(command(PauseRun, reason="lunch"))

    @rule()
    def an_operator_resumes(self):
        self.say(command(ResumeRun))

    @rule(meant=SELDOM)
    def an_operator_cancels(self, meant):
        if meant and self.run.handoffs > 4:
            self.say(command(CancelRun, reason="no need"))

    @rule(seconds=st.sampled_from([0, 1, 20, 100]))
    def time_passes_and_timers_are_late(self, seconds):
        self.world.now += timedelta(seconds=seconds)

    @precondition(lambda self: self.armed)
    @rule(sooner=SELDOM)
    def a_timer_fires(self, sooner):
        if sooner or self.armed[0].due <= self.world.now:
            self.fire()

    @precondition(lambda self: self.told)
    @rule(pick=st.integers(0, 99))
    def a_message_comes_again(self, pick):
        self.say(self.told[pick % len(self.told)])

    @rule()
    def the_task_comes_again(self):
        before, events = self.run, len(self.world.events)
        self.world.tell(Intake("run-1", "task-2", self.run.task))
        assert (self.run, len(self.world.events)) == (before, events)

    @property
    def armed(self) -> list:
        timers = [
            each
            for each in self.world.open.values()
            if isinstance(each.message, DeadlinePassed | WaitExpired | ResultDue)
        ]
        return sorted(timers, key=lambda each: each.due)

    def fire(self) -> None:
        timer = self.armed[0]
        del self.world.open[timer.id]
        self.world.now = max(self.world.now, timer.due)
        self.say(timer.message)

    @invariant()
    def the_progress_folded_from_the_events_agrees_with_the_run(self):
        progress = fold_progress(self.world.events)
        assert (progress.state, progress.usage) == (self.run.state, self.run.usage)
        if self.run.state not in ENDS:
            open_now = {work.current.handoff_id for work in progress.works.values() if work.current}
            assert set(awaited_handoffs(self.run)) <= open_now
        for id, record in self.run.steps.items():
            assert (progress.works[id].status is WorkStatus.DONE) == (record.status == "done")

    @invariant()
    def there_is_one_result_when_the_run_has_ended_and_none_before(self):
        assert len(self.world.results) == self.run.resumes + self.run.over
        assert (self.run.finished is not None) == (self.run.state in ENDS)

    @invariant()
    def what_is_worked_on_builds_on_what_is_done(self):
        steps = self.run.steps
        for record in steps.values():
            assert (record.handoff_id is not None) == (record.status == "running")
            if record.status != "waiting":
                assert all(steps[key].status == "done" for key in record.step.depends_on)

    @invariant()
    def limits_hold(self):
        assert all(record.attempts_since_resume <= MAX_ATTEMPTS for record in self.run.steps.values())
        assert self.run.planning.attempts_since_resume <= MAX_ATTEMPTS + MAX_PLANS
        assert self.run.writing.attempts_since_resume <= MAX_ATTEMPTS
        assert self.run.reviewing.attempts_since_resume <= MAX_ATTEMPTS
        assert max(self.run.replans, self.run.revisions // (self.run.replans + 1)) <= 2

    @invariant()
    def what_is_reviewed_or_complete_is_one_answer_where_the_plan_needs_one_or_says_that_it_is_not(self):
        one = self.run.synthesis is not None or self.run.joined_because is not None
        if self.run.state in (State.REVIEWING, State.COMPLETE):
            assert one == needs_synthesis(self.run)
        if not needs_synthesis(self.run):
            assert not one

    @invariant()
    def every_answer_was_counted(self):
        assert self.run.usage == self.spent

    @invariant()
    def the_run_survives_being_written_down(self):
        assert Run.model_validate_json(self.run.model_dump_json()) == self.run

    @invariant()
    def a_run_that_goes_on_will_be_woken(self):
        timers = [each.message for each in self.armed]
        if self.run.settling:
            assert any(isinstance(each, ResultDue) for each in timers)
        elif self.run.state is State.PAUSED:
            return  # its clock stands still: somebody has to resume it
        elif self.run.state not in ENDS and first_asked(self.run) is None:
            assert any(isinstance(each, DeadlinePassed) for each in timers)
        elif self.run.state not in ENDS:
            assert any(getattr(each, "request_id", None) == first_asked(self.run).request_id for each in timers)

    def teardown(self):
        """No further message arrives: time alone must end the run."""
        if hasattr(self, "world"):
            self.say(command(ResumeRun))
            while self.armed:
                self.fire()
            assert self.run.state in ENDS
            assert len(self.world.results) == self.run.resumes + 1


Life.TestCase.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
TestTheLifeOfARun = Life.TestCase


@settings(max_examples=60, deadline=None)
@given(
    plan=plans(),
    fates=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=5, max_size=5),
    random=st.randoms(use_true_random=False),
)
def test_failures_and_questions_in_any_order_lead_to_the_same_outputs_attempts_and_answers(plan, fates, random):
    def carried_out(choose) -> World:
        """Every step fails so often, then asks so often, then is done; whose turn it is, is chosen."""
        world, left = World(Task(objective="do it")).start(), {f"s{n}": list(fate) for n, fate in enumerate(fates)}
        world.plan(plan)
        while world.run.state is not State.REVIEWING:
            steps = world.waiting(DoStep)
            if world.waiting(WriteAnswer):
                world.write()
            elif not steps or (first_asked(world.run) and choose([True, False])):
                about = {"request_id": first_asked(world.run).request_id, "decision": "approve"}
                world.tell(command(HumanDecided, **about, answer=f"for {first_asked(world.run).step_id}"))
            else:
                step(world, choose(steps), left)
        world.review()
        return world

    def step(world: World, handoff: DoStep, left: dict) -> None:
        fate = left[handoff.step_id]
        if fate[0]:
            fate[0] -= 1
            world.fail(handoff)
        elif fate[1]:
            fate[1] -= 1
            world.ask(handoff.step_id)
        else:
            world.done(handoff.step_id)

    first, other = carried_out(lambda each: each[0]), carried_out(random.choice)
    assert first.results[0].steps == other.results[0].steps
    assert first.results[0].answer == other.results[0].answer
    assert sorted(first.dispatched) == sorted(other.dispatched)
    told = [{key: record.feedback for key, record in world.run.steps.items()} for world in (first, other)]
    assert told[0] == told[1]
