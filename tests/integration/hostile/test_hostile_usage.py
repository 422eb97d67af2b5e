"""What an answer says was spent is what the model server counted, also for replies that nobody can read."""

import pytest
from enduring import asking, step_of
from hostile_model import Asked

from shared.blackboard.ledger import Amounts

NESTED = b'{"choices": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"


def sending(body: bytes):
    async def move(asked: Asked) -> None:
        await asked.begin(content_length=len(body))
        await asked.write(body)
        asked.close()

    return move


async def cut(asked: Asked) -> None:
    """Break off in the middle of a reply."""
    await asked.begin(content_length=1_000)
    await asked.write(b'{"choices": [')
    asked.close()


UNREADABLE = {"nested": sending(NESTED), "an array": sending(b"[]"), "no JSON": sending(b"the sea"), "cut off": cut}


@pytest.mark.parametrize("move", UNREADABLE.values(), ids=UNREADABLE.keys())
async def test_a_request_without_a_readable_reply_counts_as_a_call(worker, move):
    told = Amounts()
    async with asking(worker, move) as (beset, server):
        step = await step_of(beset)
        for number in (1, 2):
            answer = await tried(beset, step, number)
            told = told.plus(Amounts.of(answer.usage))
        spent = await beset._ledger(step).spent()
    assert server.requests > 0
    assert told.model_calls == server.requests
    assert told == spent


async def tried(worker, step, number):
    """The answer of one try of the work."""
    again = step.model_copy(update={"id": f"{step.work_id}.{number}"})
    return await worker._answer(again, await worker._journal(again).open())
