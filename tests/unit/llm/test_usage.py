"""Plausibility of the usage that a provider reports."""

import json
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.budget import Usage
from shared.llm.prices import Price
from shared.llm.usage import NOTHING, Amount, prompt_amount, reply_amount, usage_of

PROSE = (
    "The orders of the last quarter were counted twice because the export ran again after midnight, and nobody had "
    "noticed that the file of the day before was still in the folder. We don't know yet who has used the figures. "
) * 20
TABLE = "\n".join(f"{number},2026-01-{number % 28 + 1:02},{number * 37 % 991}.5" for number in range(200))
CODE = "def total(rows):\n    return sum(row['amount'] for row in rows if row['paid'])\n\n" * 30
GUJARATI = "આ મહિનાના બધા ઓર્ડર બે વાર ગણાયા હતા. " * 40
CHINESE = "上个季度的订单被重复计算了两次，因为导出在午夜之后又运行了一次。" * 40
HONEST = {"prose": (PROSE, 881), "code": (CODE, 600), "table": (TABLE, 2_599), "gujarati": (GUJARATI, 521)}
HONEST |= {"chinese": (CHINESE, 880)}
"""Texts and how many tokens they have in o200k_base, counted with gpt-tokenizer 4: the vocabulary that needs fewest."""

AMOUNTS = st.builds(
    lambda text, most: Amount(
        (text,), len(text.encode(errors="replace")), max(most, len(text.encode(errors="replace")))
    ),
    st.text(max_size=400),
    st.integers(0, 9_000),
)


def message(text: str) -> dict:
    return {"role": "user", "content": text}


@pytest.mark.parametrize(("text", "tokens"), HONEST.values(), ids=HONEST.keys())
def test_an_honest_figure_is_believed_to_the_token(text, tokens):
    assert prompt_amount([message(text)], [], {}).plausible(tokens) == (tokens, False)
    assert reply_amount(text, [], 8_192).plausible(tokens) == (tokens, False)


@pytest.mark.parametrize(
    "told", [None, 0, 1, -1, -(10**9), True, 1.5, 700.0, "700", [], {}, float("nan"), float("inf")]
)
def test_missing_or_too_low_figures_are_replaced_by_an_estimate(told):
    tokens, estimated = prompt_amount([message(PROSE)], [], {}).plausible(told)
    assert estimated
    assert tokens >= len(PROSE) / 4


@pytest.mark.parametrize("told", [10**6, 10**12, 10**400])
def test_a_prompt_counts_no_more_than_was_reserved_for_any_reported_usage(told):
    prompt = prompt_amount([message(PROSE)], [{"type": "function"}], {"type": "object"})
    assert prompt.plausible(told) == (prompt.most, True)


def test_thinking_that_is_not_shown_counts_up_to_what_was_asked_for():
    reply = reply_amount("42", [], 2_000)
    assert reply.plausible(1_900) == (1_900, False)
    assert reply.plausible(2_001) == (2_000, True)


def test_a_reply_longer_than_was_asked_for_counts_as_long_as_it_is():
    reply = reply_amount("word " * 5_000, [], 256)
    assert reply.plausible(256) == (reply.probable, True)
    assert reply.probable > 6_000


def test_arguments_of_tool_calls_count():
    assert reply_amount("", [("query", json.dumps({"sql": PROSE}))], 9_000).plausible(3)[1]


def test_the_lowest_figure_that_is_believed_in_prose_is_six_sevenths_of_the_honest_one():
    text, honest = HONEST["prose"]
    assert prompt_amount([message(text)], [], {}).least >= honest * 6 / 7 - 1


@given(AMOUNTS, st.one_of(st.integers(-(10**6), 10**6), st.none(), st.text(), st.floats(), st.booleans()))
def test_usage_stays_within_bounds_and_is_marked_as_estimated_unless_it_was_reported(amount, told):
    tokens, estimated = amount.plausible(told)
    assert amount.least <= tokens <= amount.most or amount.least > amount.most
    assert estimated == (type(told) is not int or tokens != told)


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_one_wrong_figure_is_enough_to_mark_a_call(prompt, completion):
    may_be, said = prompt_amount([message(PROSE)], [], {}), reply_amount(PROSE, [], 8_192)
    told = SimpleNamespace(prompt_tokens=prompt, completion_tokens=completion)
    used = usage_of(told, may_be, said, Price(1, 2))
    assert used.estimated == int((used.prompt_tokens, used.completion_tokens) != (prompt, completion))
    assert used.cost_usd == pytest.approx((used.prompt_tokens + 2 * used.completion_tokens) / 1e6)


def test_vectors_have_no_completion_to_count():
    told = SimpleNamespace(prompt_tokens=3, total_tokens=3)
    assert usage_of(told, Amount(("red bees",), 8, 8), NOTHING, Price(1, 2)) == Usage(
        prompt_tokens=3, cost_usd=3e-6, model_calls=1
    )
