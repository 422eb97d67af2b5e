"""Reasoning of a reply, by either of the names that providers give it."""

import pytest
from openai.types.chat import ChatCompletion
from pydantic import SecretStr

from shared.llm.endpoints import Endpoint
from shared.llm.prices import Price
from shared.llm.reply import LONGEST_REASONING, Reply, reply_of
from shared.llm.usage import NOTHING

ENDPOINT = Endpoint(
    name="e",
    model="m",
    base_url=None,
    api_key=SecretStr("k"),
    requests_per_minute=0,
    tokens_per_minute=0,
    price=Price(0, 0),
    context_window=1_000,
)


def reply(**message) -> Reply:
    choice = {"index": 0, "message": {"role": "assistant", "content": "4"} | message, "finish_reason": "stop"}
    about = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    return reply_of(ChatCompletion.construct(**about), ENDPOINT, NOTHING, 100, 0.1)


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_is_kept_up_to_its_bound_and_is_no_part_of_the_chat(name):
    found = reply(**{name: "2 and 2 \ud800" + "x" * LONGEST_REASONING})
    assert found.reasoning.startswith("2 and 2 ?")
    assert len(found.reasoning) == LONGEST_REASONING
    assert found.message == {"role": "assistant", "content": "4", "tool_calls": []}


@pytest.mark.parametrize("told", [{}, {"reasoning": None}, {"reasoning": ["2"]}, {"reasoning_content": ""}])
def test_a_reply_without_a_text_of_reasoning_has_none(told):
    assert reply(**told).reasoning is None
