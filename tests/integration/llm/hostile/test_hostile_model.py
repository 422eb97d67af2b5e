"""A hostile model server against a worker: runs end, the process lives, and no more is spent than there was."""

import asyncio
import itertools
import json
import random

import pytest

from schemas.budget import Budget
from schemas.step import HandoffFailed, StepCompleted
from shared.blackboard.ledger import NANO
from tests.support.enduring import BUDGET, asking, endured, looked, step_of, steps_of, worked
from tests.support.hostile_model import FINDINGS, Asked, Hostile, calls, final
from tests.support.malice import (
    LIES,
    a_page,
    always_new,
    cut_arguments,
    cut_json,
    failing,
    half_a_body,
    half_a_stream,
    honest,
    invalid_json,
    nested_body,
    no_http,
    no_word,
    numbers_without_end,
    refusing,
    stalling,
    trickling,
)


@pytest.mark.parametrize("period", [1, 2, 3, 4])
async def test_a_model_that_loops_forever_is_warned_and_stopped_long_before_its_budget_ends(worker, period):
    hints: list[str] = []

    async def move(asked: Asked) -> None:
        hints.extend(each["content"] for each in asked.body["messages"][2:] if each["role"] == "user")
        await asked.reply(calls({"at": f"thing {asked.turn % period}"}))

    answer, server = await endured(worker, move)
    assert answer.error.code == "loop"
    assert server.requests == period + 4
    assert "round in circles" in hints[0]


async def test_a_model_that_always_finds_something_new_to_call_is_stopped_by_the_limit_of_its_calls(worker):
    answer, server = await endured(worker, always_new("honest"))
    assert answer.error.code in {"budget_exhausted", "loop"}
    assert server.requests <= BUDGET.model_calls
    assert len(looked) <= BUDGET.tool_calls


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
async def test_a_model_that_lies_about_its_usage_spends_no_more_and_every_call_is_marked(worker, lie):
    answer, server = await endured(worker, always_new(lie), budget=BUDGET.model_copy(update={"tokens": 12_000}))
    assert isinstance(answer, HandoffFailed)
    assert 1 <= server.requests <= BUDGET.model_calls
    assert answer.usage.estimated == answer.usage.model_calls == server.requests


async def test_a_model_that_lies_about_the_length_of_its_reply_is_charged_for_what_came(worker):
    words = "and there was nothing to be seen " * 400

    async def move(asked: Asked) -> None:
        message = {"content": json.dumps(FINDINGS | {"answer": words})}
        await asked.reply(message, {"prompt_tokens": asked.prompt_tokens, "completion_tokens": 12})

    answer, server = await endured(worker, move)
    assert isinstance(answer, StepCompleted)
    assert answer.usage.completion_tokens >= server.reply_tokens
    assert answer.usage.estimated == 1


@pytest.mark.parametrize(
    ("move", "codes"),
    [
        (cut_json, {"invalid_reply"}),
        (cut_arguments, {"loop"}),
        (half_a_body, {"budget_exhausted"}),
        (half_a_stream, {"budget_exhausted"}),
        (no_http, {"budget_exhausted"}),
        (no_word, {"budget_exhausted"}),
        (invalid_json, {"model_garbled"}),
        (a_page, {"model_garbled"}),
        (nested_body, {"model_garbled"}),
        (numbers_without_end, {"model_garbled"}),
    ],
)
async def test_a_model_that_breaks_off_or_sends_unreadable_replies_fails_the_step_with_the_reason(worker, move, codes):
    answer, _ = await endured(worker, move)
    assert isinstance(answer, HandoffFailed)
    assert answer.error.code in codes


@pytest.mark.parametrize("move", [stalling, trickling])
async def test_a_model_that_stalls_or_trickles_costs_what_it_could_and_is_given_up(worker, move):
    answer, server = await endured(worker, move, seconds=6)
    assert answer.error.code == "budget_exhausted"
    assert server.requests >= 3


@pytest.mark.parametrize(
    "retry_after",
    [None, "0", "-5", "nan", "inf", "1e400", "9" * 400, "soon", "Fri, 31 Dec 9999 23:59:59 GMT", "Fri, 99 Dec 99999"],
)
async def test_a_storm_of_429_is_waited_out_as_long_as_there_is_time_and_costs_nothing(worker, retry_after):
    async def storm(asked: Asked) -> None:
        await asked.send(b"{}", 429, **({"retry_after": retry_after} if retry_after else {}))

    async with asking(worker, storm) as (beset, server):
        step = await step_of(beset, seconds=1.3)
        answer = await worked(beset, step, attempts=1)
        spent = await beset.runtime.ledger(step).read_spent()
    assert (answer.error.code, answer.error.retryable) in {("model_unavailable", True), ("timeout", False)}
    assert server.requests <= 4
    assert (spent.tokens, spent.nano_usd, spent.model_calls) == (0, 0, 0)


async def test_a_storm_that_passes_leaves_no_trace_in_the_answer_but_its_time(worker):
    storm = itertools.count()

    async def move(asked: Asked) -> None:
        if next(storm) < 2:
            await asked.send(b"{}", 429, retry_after="0.3")
        else:
            await asked.reply(final())

    answer, _ = await endured(worker, move)
    assert isinstance(answer, StepCompleted)
    assert answer.usage.model_calls == 1


async def test_a_model_that_sends_callers_elsewhere_is_not_followed(worker):
    async def elsewhere(asked: Asked) -> None:
        server.prompt_tokens += asked.server is server

    async with Hostile(elsewhere) as server:

        async def move(asked: Asked) -> None:
            await asked.send(b"", 307, location=f"{server.url}/chat/completions")

        answer, _ = await endured(worker, move)
    assert isinstance(answer, HandoffFailed)
    assert server.requests == 0


@pytest.mark.parametrize("seed", range(3))
async def test_parallel_steps_of_a_run_on_which_every_malice_is_tried_stay_within_its_budget(worker, seed):
    drawn = random.Random(seed)
    malice = [*map(always_new, LIES.values()), cut_json, cut_arguments, half_a_body, no_http, no_word, invalid_json]
    malice += [stalling, trickling, refusing, failing, honest, honest, honest]
    budget = Budget(tokens=300_000, output_tokens=120_000, cost_usd=0.3, model_calls=60, tool_calls=40)

    async def move(asked: Asked) -> None:
        await drawn.choice(malice)(asked)

    async with asking(worker, move) as (beset, server):
        steps = await steps_of(beset, 8, budget, seconds=6)
        answers = await asyncio.gather(*(worked(beset, step) for step in steps))
        spent = await beset.runtime.ledger(steps[0]).read_spent()
    assert len(answers) == 8
    assert server.requests > 8
    assert server.tokens <= spent.tokens <= budget.tokens
    assert server.reply_tokens <= spent.output_tokens <= budget.output_tokens
    assert round(server.dollars * NANO, 3) <= spent.nano_usd <= budget.cost_usd * NANO
    assert spent.model_calls <= budget.model_calls
    assert spent.tool_calls <= budget.tool_calls
