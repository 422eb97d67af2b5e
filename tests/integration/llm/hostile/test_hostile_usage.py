"""An answer reports the usage that the model server counted, also for unreadable replies."""

import pytest

from shared.blackboard.ledger import Amounts
from tests.support.enduring import asking, step_of
from tests.support.hostile_usage import cut, sending

NESTED = b'{"choices": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"


UNREADABLE = {"nested": sending(NESTED), "an array": sending(b"[]"), "no JSON": sending(b"the sea"), "cut off": cut}


@pytest.mark.parametrize("move", UNREADABLE.values(), ids=UNREADABLE.keys())
async def test_a_request_without_a_readable_reply_counts_as_a_call(worker, move):
    told = Amounts()
    async with asking(worker, move) as (beset, server):
        step = await step_of(beset)
        for number in (1, 2):
            answer = await tried(beset, step, number)
            told = told.plus(Amounts.of(answer.usage))
        spent = await beset.runtime.ledger(step).read_spent()
    assert server.requests > 0
    assert told.model_calls == server.requests
    assert told == spent


async def tried(worker, step, number):
    """The answer of one try of the work."""
    again = step.model_copy(update={"id": f"{step.work_id}.{number}"})
    return await worker.execute(again)
