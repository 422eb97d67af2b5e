"""Replies of a hostile model server that are too large, or of odd shapes: they end in an answer or a reason."""

import gzip
import resource

import pytest

from schemas.budget import Budget
from schemas.step import HandoffFailed, StepCompleted
from tests.support.enduring import BUDGET, asking, endured, looked, step_of, worked
from tests.support.hostile_model import Asked, calls, final

MEGABYTE = 1_048_576


def flooding(chunk: bytes, headers: dict, *, before: bytes = b""):
    async def move(asked: Asked) -> None:
        await asked.begin(**headers)
        await asked.write(before)
        for _ in range(100):
            await asked.write(chunk)
        asked.close()

    return move


FLOOD = b"x" * MEGABYTE
BOMB = gzip.compress(b"x" * 100 * MEGABYTE)
FLOODS = {
    "a length": flooding(FLOOD, {"content_length": 100 * MEGABYTE}),
    "no length": flooding(FLOOD, {"connection": "close"}),
    "chunks": flooding(b"100000\r\n" + FLOOD + b"\r\n", {"transfer_encoding": "chunked"}),
    "a string": flooding(FLOOD, {"content_length": 200 * MEGABYTE}, before=b'{"choices": [{"message": {"content": "'),
    "an error": flooding(FLOOD, {"status": 500, "content_length": 100 * MEGABYTE}),
    "a bomb": flooding(b"", {"content_length": len(BOMB), "content_encoding": "gzip"}, before=BOMB),
}


@pytest.mark.parametrize("move", FLOODS.values(), ids=FLOODS.keys())
async def test_a_reply_of_a_hundred_megabytes_is_not_read_to_its_end_and_counts_as_what_came(worker, move):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answer, server = await endured(worker, move)
    assert (answer.error.code, server.requests) == ("budget_exhausted", 1)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 60


@pytest.mark.parametrize("size", [320_000, 900_000, 3_900_000])
@pytest.mark.parametrize("kind", ["call", "answer"])
async def test_a_reply_longer_than_was_asked_for_is_charged_as_it_is_and_ends_the_spending(worker, size, kind):
    long = "the sea " * (size // 8)

    async def move(asked: Asked) -> None:
        message = calls({"at": long}) if kind == "call" else {"content": long}
        await asked.reply(message, {"prompt_tokens": 500, "completion_tokens": 5})

    async with asking(worker, move) as (beset, server):
        step = await step_of(beset)
        answer = await worked(beset, step)
        spent = await beset.runtime.ledger(step).read_spent()
    assert answer.error.code == "budget_exhausted"
    assert server.requests == 1
    assert spent.output_tokens >= server.reply_tokens > BUDGET.output_tokens


def once(message: dict, **more):
    """Sends this first, then a sound answer."""

    async def move(asked: Asked) -> None:
        await (asked.reply(final()) if asked.turn else asked.reply(message, **more))

    return move


@pytest.mark.parametrize(
    "ids", [lambda number: None, lambda number: "", lambda number: "same", ["", "call-1", "call-1"].__getitem__]
)
async def test_tool_calls_without_ids_or_with_the_same_are_told_apart(worker, ids):
    seen: list[list[str]] = []

    async def move(asked: Asked) -> None:
        seen.append([each["tool_call_id"] for each in asked.body["messages"] if each["role"] == "tool"])
        await once(calls({"at": "a"}, {"at": "b"}, {"at": "c"}, ids=ids))(asked)

    answer, _ = await endured(worker, move)
    assert isinstance(answer, StepCompleted)
    assert looked == ["a", "b", "c"]
    assert len(set(seen[1])) == 3
    assert all(seen[1])


async def test_a_thousand_tool_calls_in_one_reply_are_made_up_to_the_limit(worker):
    answer, _ = await endured(worker, once(calls(*({"at": f"thing {number}"} for number in range(1_000)))))
    assert isinstance(answer, StepCompleted)
    assert len(looked) == BUDGET.tool_calls
    assert answer.usage.tool_calls == BUDGET.tool_calls


@pytest.mark.parametrize("depth", [300, 100_000])
async def test_arguments_nested_too_deeply_are_an_error_to_the_model(worker, depth):
    message = calls('{"at": ' + "[" * depth + "]" * depth + "}")
    answer, _ = await endured(worker, once(message), budget=Budget(tokens=400_000, output_tokens=100_000))
    assert isinstance(answer, StepCompleted)
    assert looked == []


@pytest.mark.parametrize("at", ["a\x00b", "\U0001f600" * 50, "\ufeff\u202e\u200b"])
async def test_odd_characters_in_arguments_do_not_fail_the_step(worker, at):
    answer, _ = await endured(worker, once(calls({"at": at})))
    assert isinstance(answer, StepCompleted)


ODD = {
    "a lone surrogate": {"content": "\ud800"},
    "a lone surrogate in arguments": calls('{"at": "\ud800"}'),
    "a lone surrogate in a name": calls({"at": "x"}, name="lo\udfffok"),
    "an escaped lone surrogate": calls('{"at": "\\ud800"}'),
    "nul": {"content": "\x00"},
    "a name of nothing": calls({"at": "x"}, name=""),
    "a name without end": calls({"at": "x"}, name="look" * 20_000),
    "no function": {"content": None, "tool_calls": [{"id": "x", "type": "function"}]},
    "calls that are texts": {"content": None, "tool_calls": ["look", 1, None]},
    "calls that are no list": {"content": None, "tool_calls": {"look": "x"}},
    "another type": {"content": None, "tool_calls": [{"id": "x", "type": "custom", "custom": {"name": "x"}}]},
    "arguments that are no text": {
        "content": None,
        "tool_calls": [{"id": "x", "type": "function", "function": {"name": "look", "arguments": {"at": "x"}}}],
    },
    "content that is a list": {"content": [{"type": "text", "text": "hi"}]},
    "content that is a number": {"content": 7},
    "nothing": {},
}


@pytest.mark.parametrize("message", ODD.values(), ids=ODD.keys())
async def test_a_reply_of_any_shape_ends_in_an_answer_or_in_a_failure_with_its_reason(worker, message):
    always, _ = await endured(worker, lambda asked: asked.reply(message))
    assert isinstance(always, HandoffFailed)
    assert always.error.code in {"budget_exhausted", "invalid_reply", "loop", "model_garbled"}


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b'"x"', b"{}", b'{"choices": 1}', b'{"choices": [null]}'])
async def test_an_answer_that_is_no_completion_is_a_failure_with_its_reason(worker, body):
    async def move(asked: Asked) -> None:
        asked.bill()
        await asked.send(body)

    answer, _ = await endured(worker, move)
    assert isinstance(answer, HandoffFailed)
