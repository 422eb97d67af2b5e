"""Laws of the run machine, over generated plans, orders, failures, commands and repeats.

`World.tell` checks at every decision: legal moves, deterministic, nothing mutated, unique ids, events fold to the run.
"""

from contextlib import nullcontext

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.approval import CancelRun, DelegateQuestion, HumanDecided, PauseRun, ResumeRun, WithdrawAnswer
from schemas.event import RunResumed, State
from schemas.plan import Risk
from schemas.step import DoStep, HandoffFailed, HelpAsked, MakePlan, Output, ReviewResult, StepCompleted
from schemas.step_events import StepDispatched, StepDone
from schemas.synthesis import WriteAnswer
from schemas.task import Task
from schemas.timer import DeadlinePassed, QuestionDue, ResultDue, WaitExpired
from shared.errors import TerminalError
from shared.runs import ENDS
from tests.support.message_samples import PROPOSAL
from tests.support.questions import first_asked, governed
from tests.support.run_world import AFTER_THE_END, World, plan_of

MOVES = ["plan", "bad plan", "done", "fail", "fail for good", "ask", "write", "fail to write", "accept", "revise"]
MOVES += [
    "approve",
    "reject",
    "edit",
    "respond",
    "skip",
    "withdraw",
    "delegate",
    "due",
    "ask about a call",
    "pause",
    "resume",
    "cancel",
    "deadline",
    "expire",
    "repeat",
    "stale",
]


RULES = [
    "",
    '[approvals]\nundo = 20\nremind = 30000\non_expiry = "resume"',
    """
    [approvals]
    on_expiry = "reverify"
    [[questions]]
    stages = [{needed = 2}]
    escalate_after = 60
    escalate_to = ["heads"]
    """,
    '[approvals]\non_expiry = "fail"',
]
"""Terms of questions."""


@st.composite
def plans(draw):
    """A plan without circles: each step may depend on any before it."""
    count = draw(st.integers(1, 5))
    needs = {f"s{n}": [f"s{m}" for m in range(n) if draw(st.booleans())] for n in range(count)}
    return plan_of(**{key: " ".join(each) for key, each in needs.items()})


def command(kind, **facts):
    return kind(run_id="run-1", tenant="default", by="eva", **facts)


def answer(world: World, move: str, pick: int) -> None:
    """One message of a person about the first open question, or about none."""
    about = {"request_id": first_asked(world.run).request_id if first_asked(world.run) else "none"}
    match move:
        case "approve" | "reject":
            world.tell(command(HumanDecided, **about, decision=move, answer="so be it"))
        case "edit" | "respond" | "skip":
            facts = {"arguments": '{"n": 1}'} if move == "edit" else {}
            world.tell(command(HumanDecided, **about, decision="reject", reply=move, answer="so be it", **facts))
        case "withdraw":
            world.tell(command(WithdrawAnswer, **about))
        case "delegate":
            world.tell(command(DelegateQuestion, **about, to=("bob", "cleo")[pick % 2]))


def write(world: World, move: str, pick: int) -> None:
    """One answer or failure of the writer, if it is asked."""
    for asked in world.waiting(WriteAnswer):
        if move == "write":
            world.write(f"one answer {pick}")
        elif move == "fail to write":
            world.fail(asked, retryable=bool(pick))


def play(world: World, move: str, plan, pick: int, told: list) -> None:
    """One move, if it is possible now."""
    steps, asked, reviews = world.waiting(DoStep), world.waiting(MakePlan), world.waiting(ReviewResult)
    step = steps[pick % len(steps)] if steps else None
    match move:
        case "plan" | "bad plan" if asked:
            world.plan(plan if move == "plan" else plan_of(a="a"))
        case "done" if step:
            answer = world.answer(step, StepCompleted, output=Output(answer=step.step_id))
            told.append(answer)
            world.tell(answer)
        case "fail" | "fail for good" if step:
            world.fail(step, retryable=move == "fail")
        case "ask" if step:
            world.ask(step.step_id)
        case "accept" | "revise" if reviews:
            world.review(accepted=move == "accept")
        case "ask about a call" if step:
            risk = (Risk.HIGH, Risk.CRITICAL)[pick % 2]
            proposal = PROPOSAL.model_copy(update={"call": f"call-{pick}", "risk": risk})
            world.tell(world.answer(step, HelpAsked, question="may I?", call=proposal.call, proposal=proposal))
        case "due":
            world.fire(QuestionDue)
        case "pause" | "cancel":
            world.tell(command(PauseRun if move == "pause" else CancelRun, reason="why not"))
        case "resume":
            world.tell(command(ResumeRun))
        case "deadline" | "expire":
            world.fire(DeadlinePassed if move == "deadline" else WaitExpired)
        case "repeat" if told:
            world.tell(told[pick % len(told)])
        case "stale" if told:
            stale = told[pick % len(told)].model_copy(update={"handoff_id": "run-1/nothing/0"})
            with pytest.raises(TerminalError, match="not from its agent") if world.run.over else nullcontext():
                world.tell(stale)


@settings(max_examples=150, deadline=None)
@given(
    plans(),
    st.sampled_from(["auto", "supervisor", "router"]),
    st.sampled_from(["fail", "wait"]),
    st.sampled_from(RULES),
    st.lists(st.tuples(st.sampled_from(MOVES), st.integers(0, 9)), max_size=40),
)
@example(plan_of(a="", b=""), "auto", "fail", "", [("plan", 0), ("done", 0), ("fail for good", 0), ("stale", 0)])
def test_every_run_ends_with_exactly_one_result_for_any_sequence_of_messages(plan, shape, trouble, rules, script):
    task = Task(objective="x", shape=shape, on_trouble=trouble)
    world = World(task, governance=governed(rules)).start()
    told: list = []
    for move, pick in script:
        ended = world.run.state in ENDS
        before = len(world.events)
        answer(world, move, pick)
        write(world, move, pick)
        play(world, move, plan, pick, told)
        added = world.events[before:]
        if ended and not any(isinstance(event, RunResumed) for event in added):
            assert all(isinstance(event, AFTER_THE_END) for event in added)
        assert len(world.results) == world.run.resumes + world.run.over
    if world.run.state is State.PAUSED:
        world.tell(command(ResumeRun))
    for _ in range(20):
        world.fire(WaitExpired)
        world.fire(QuestionDue)
        world.fire(DeadlinePassed)
        world.fire(ResultDue)
    assert world.run.state in ENDS
    assert len(world.results) == world.run.resumes + 1


@settings(max_examples=100, deadline=None)
@given(plans(), st.randoms(use_true_random=False))
def test_the_order_of_independent_results_does_not_matter(plan, random):
    def carried_out(choose) -> World:
        world = World(Task(objective="x")).start()
        world.plan(plan)
        while steps := world.waiting(DoStep):
            world.done(choose(steps).step_id)
        world.review()
        return world

    first, other = carried_out(lambda steps: steps[0]), carried_out(random.choice)
    assert first.results[0].answer == other.results[0].answer
    assert {key: record.output for key, record in first.run.steps.items()} == {
        key: record.output for key, record in other.run.steps.items()
    }
    assert sorted(first.dispatched) == sorted(other.dispatched) == sorted(step.id for step in plan.steps)


@settings(max_examples=100, deadline=None)
@given(
    plans(),
    st.lists(st.tuples(st.sampled_from(["done", "fail", "write", "revise", "accept"]), st.integers(0, 9)), max_size=30),
)
def test_no_step_is_dispatched_before_what_it_depends_on_is_done(plan, script):
    world = World(Task(objective="x")).start()
    world.plan(plan)
    for move, pick in script:
        write(world, move, pick)
        play(world, move, plan, pick, [])
    needs = {step.id: set(step.depends_on) for step in plan.steps}
    done: set[str] = set()
    for event in world.events:
        if isinstance(event, StepDone):
            done.add(event.step_id)
        if isinstance(event, StepDispatched):
            assert needs[event.step_id] <= done


def test_a_failure_of_any_handoff_is_never_silent():
    world = World(Task(objective="x")).start()
    world.tell(world.answer(world.waiting(MakePlan)[0], HandoffFailed, error={"code": "x", "message": "broken"}))
    assert world.run.state is State.FAILED
    assert "broken" in world.results[0].error.message
