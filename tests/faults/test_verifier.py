"""The verifier finds nothing on a swarm that is hurt, and does find what a broken swarm would have done."""

import time
from dataclasses import replace
from random import Random

import pytest

from shared.tools import Effect
from tests.faults.plans import ONCE, of_every_kind, one_call, problems, random_plan
from tests.faults.verifier import KINDS, drawn, round_of

pytestmark = [pytest.mark.faults, pytest.mark.quick]


def history(planned):
    """Ledger of a run without faults: in the plan's order, each call under a key of its own."""
    must = planned.must_happen()
    return [
        {"op": op, "key": f"key/{op}", "effect": str(call.effect), "at": float(n), "caller": 1}
        for n, (op, call) in enumerate(planned.calls.items())
        if op in must
    ]


@pytest.mark.parametrize("seed", range(200))
def test_a_run_that_went_as_planned_has_no_problem(seed):
    planned = random_plan(Random(seed), f"task-{seed}")
    assert problems(planned, planned.status, history(planned), asked=False) == []


@pytest.mark.parametrize("effect", sorted(ONCE))
@pytest.mark.parametrize("key", ["key/again", None])
def test_repeating_a_call_that_must_not_be_repeated_is_a_problem_under_any_key(effect, key):
    planned = one_call(effect)
    first, *_ = history(planned)
    again = first | ({"key": key} if key else {})
    assert "2 times" in problems(planned, "complete", [first, again], asked=True)[0]


def test_an_idempotent_call_may_come_twice_under_its_key_only():
    planned = one_call(Effect.IDEMPOTENT)
    (first,) = history(planned)
    assert problems(planned, "complete", [first, first], asked=False) == []
    assert problems(planned, "complete", [first, first | {"key": "another"}], asked=False) != []


def test_a_read_may_come_as_often_as_it_likes():
    planned = one_call(Effect.READ)
    (first,) = history(planned)
    assert problems(planned, "complete", [first, first | {"key": "another"}], asked=False) == []


@pytest.mark.parametrize("status", [None, "failed", "contradicting", "cancelled"])
def test_a_run_without_the_result_its_plan_leads_to_is_a_problem(status):
    planned = of_every_kind()
    assert len(problems(planned, status, history(planned), asked=False)) == 1


def test_a_run_that_asked_may_be_cancelled_and_nothing_else():
    planned = of_every_kind()
    assert problems(planned, "cancelled", [], asked=True) == []
    assert problems(planned, "failed", [], asked=True) != []


def test_missing_and_premature_effects_are_problems():
    planned = of_every_kind()
    effects = history(planned)
    assert "was not done" in problems(planned, "complete", effects[:-1], asked=False)[0]
    early = [*effects[:-1], effects[-1] | {"at": -1.0}]
    assert "came before" in problems(planned, "complete", early, asked=False)[0]


def test_a_call_behind_a_failure_and_one_of_no_plan_are_problems():
    planned = of_every_kind(dies=True)
    effects = history(planned)
    behind = effects[0] | {"op": f"{planned.id}/send"}
    assert "cannot have been" in problems(planned, "failed", [*effects, behind], asked=False)[0]
    stray = effects[0] | {"op": f"{planned.id}/stray"}
    assert "in no plan" in problems(planned, "failed", [*effects, stray], asked=False)[0]


def test_the_same_seed_draws_the_same_round():
    first, second = ((random_plan(Random(7), "task-7"), drawn(Random(8), list(KINDS))) for _ in range(2))
    assert first == second
    assert drawn(Random(9), list(KINDS)) != first[1]
    assert replace(first[1][0], at=0.0) != first[1][0]


@pytest.mark.timeout(200)
@pytest.mark.parametrize("seed", [1, 2])
async def test_random_plans_under_random_kills_and_freezes_go_as_the_model_says(seed, runner):
    began = time.monotonic()
    outcome, strikes, ends, _ = await round_of(seed, await runner.world(), [kind for kind in KINDS if kind != "cut"])
    await (runner.leave() if outcome.problems else runner.mend())
    print(outcome.counted, ends, *strikes, f"{time.monotonic() - began:.0f} s")
    assert outcome.problems == []
