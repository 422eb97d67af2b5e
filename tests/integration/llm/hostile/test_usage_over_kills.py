"""A worker that stops for good at any point of a model call: the answer of the next says what the server counted."""

import asyncio
from dataclasses import replace

import pytest

from schemas.event import State
from schemas.step import DoStep, Findings
from shared.agent import Context
from shared.agent.worker import Worker, recorded_totals
from shared.blackboard import Journal, keys
from shared.blackboard.journal import ANSWER
from shared.blackboard.ledger import Amounts, Ledger
from shared.errors import RetryableError
from tests.support.enduring import asking, looked, step_of
from tests.support.hostile_model import FINDINGS, Asked
from tests.support.hostile_usage import cut, sending
from tests.support.malice import honest


class Killed:
    """The first worker to come to a point stays there, as a dead one would, until it is let go."""

    def __init__(self, unsent: int = 0) -> None:
        self.reached, self.released = asyncio.Event(), asyncio.Event()
        self.unsent = unsent
        """Requests that it holds back: they are counted, and sent only if it has time left once it is let go."""

    def check(self, told: Amounts, counted: int) -> None:
        """Hold what the answers say to the count of the server."""
        assert told.model_calls > 0
        assert told.model_calls - self.unsent <= counted <= told.model_calls

    async def here(self) -> None:
        if not self.reached.is_set():
            self.reached.set()
            await self.released.wait()


def stopping(monkeypatch, kind: type, method: str, killed: Killed, *, after: bool, of=lambda *_: True) -> None:
    acts = getattr(kind, method)

    async def stopped(self, *arguments, **more):
        if of(*arguments) and not after:
            await killed.here()
        done = await acts(self, *arguments, **more)
        if of(*arguments) and after:
            await killed.here()
        return done

    monkeypatch.setattr(kind, method, stopped)


def is_answer(name: str, *_) -> bool:
    return name.startswith(ANSWER)


def is_of_a_call(name: str, *_) -> bool:
    return not is_answer(name)


UNSENT = "before it is sent"
POINTS = {
    UNSENT: [(Ledger, "reserve", True)],
    "before it is settled": [(Ledger, "settle", False), (Ledger, "forfeit", False)],
    "before it is in the journal": [(Ledger, "settle", True), (Ledger, "forfeit", True)],
    "before the work goes on": [(Journal, "write", True, is_of_a_call)],
    "before it is answered": [(Journal, "write", False, is_answer)],
    "before the answer is sent": [(Journal, "write", True, is_answer)],
}


@pytest.fixture(params=POINTS)
def killed(request, monkeypatch) -> Killed:
    """A point at which the first worker stops."""
    killed = Killed(unsent=int(request.param == UNSENT))
    for kind, method, after, *of in POINTS[request.param]:
        stopping(monkeypatch, kind, method, killed, after=after, **({"of": of[0]} if of else {}))
    return killed


async def drip(asked: Asked) -> None:
    """Send a reply so slowly that it never ends."""
    await asked.begin(content_length=100_000)
    for _ in range(200):
        await asked.write(b" ")
        await asyncio.sleep(0.05)


async def endless_headers(asked: Asked) -> None:
    await asked.write(b"HTTP/1.1 200 So\r\n")
    for number in range(2_000):
        await asked.write(f"X-More-{number}: {'x' * 500}\r\n".encode())


UNREAD = {"no JSON": sending(b"the sea"), "cut off": cut, "a drip": drip, "endless headers": endless_headers}
MOVES = {"a sound reply": honest} | UNREAD


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES.keys())
async def test_the_answer_after_a_kill_says_what_the_server_counted(worker, move, killed):
    async with asking(worker, move) as (beset, server):
        step = await step_of(beset, seconds=2.0)
        first = await stopped_worker(beset, step, killed)
        told = await answered(beset, step)
        assert told == await beset.runtime.ledger(step).read_spent()
        await let_go(first, killed)
        spent = await beset.runtime.ledger(step).read_spent()
        assert told == spent
        killed.check(told, server.requests)
        assert told.tokens >= server.tokens


@pytest.mark.parametrize("move", [honest, UNREAD["no JSON"]], ids=["a sound reply", "no JSON"])
async def test_a_cancelled_run_is_given_what_a_dead_worker_spent_for_it(worker, move, killed):
    async with asking(worker, move) as (beset, server):
        step = await step_of(beset, seconds=2.0)
        first = await stopped_worker(beset, step, killed)
        await beset.runtime.sentinel.own.hset(keys.run("default", step.run_id), "state", f'"{State.CANCELLED}"')
        told = await answered(beset, step)
        assert told == await beset.runtime.ledger(step).read_spent()
        await let_go(first, killed)
        assert told == await beset.runtime.ledger(step).read_spent()
        killed.check(told, server.requests)


async def test_a_dead_letter_says_what_a_dead_worker_spent(worker, killed):
    async with asking(worker, honest) as (beset, server):
        step = await step_of(beset)
        first = await stopped_worker(beset, step, killed)
        recalled = await recorded_totals(replaced(beset).runtime, step)
        await let_go(first, killed)
        told = Amounts.of(recalled["usage"])
        assert told == await beset.runtime.ledger(step).read_spent()
        killed.check(told, server.requests)


async def stopped_worker(worker, step, killed: Killed) -> asyncio.Task:
    first = asyncio.create_task(worker.execute(step))
    async with asyncio.timeout(30):
        await killed.reached.wait()
    return first


def replaced(worker):
    """Another process: it shares nothing with the one that is dead."""
    return Worker(replace(worker.runtime, leftovers={}))


async def answered(worker, step) -> Amounts:
    after = replaced(worker)
    return Amounts.of((await after.execute(step)).usage)


async def let_go(first: asyncio.Task, killed: Killed) -> None:
    """The worker was alive after all: nothing it does then changes anything."""
    killed.released.set()
    await asyncio.gather(first, return_exceptions=True)


async def test_tool_calls_of_a_later_try_are_counted_with_it_also_after_a_kill(worker, agent, monkeypatch):
    """The first try makes two of three calls, the second the third, and its worker dies once that is recorded."""
    fails = [True]

    async def work(step: DoStep, ctx: Context) -> Findings:
        for number in range(3):
            if number == 2 and fails.pop():
                raise RetryableError("not now", code="unavailable")
            await ctx.call("look", at=f"thing {number}")
        return Findings(**FINDINGS)

    agent.handler = work
    step = await step_of(worker)
    assert (await answered(worker, step)).tool_calls == 2
    fails.append(False)
    killed = Killed()
    stopping(monkeypatch, Journal, "write", killed, after=True, of=lambda name, *_: name == "call-3")
    again = step.model_copy(update={"id": f"{step.work_id}.2", "tries": 2})
    first = await stopped_worker(worker, again, killed)
    fails.append(False)
    assert (await answered(worker, again)).tool_calls == 1
    await let_go(first, killed)
    assert (await worker.runtime.ledger(step).read_spent()).tool_calls == 3


async def test_a_tool_call_that_a_dead_worker_started_is_counted_in_addition_to_its_repetition(
    worker, agent, monkeypatch
):
    async def work(step: DoStep, ctx: Context) -> Findings:
        await ctx.call("look", at="it")
        return Findings(**FINDINGS)

    agent.handler = work
    killed = Killed()
    stopping(monkeypatch, Journal, "write", killed, after=False, of=lambda name, *_: name == "call-1")
    step = await step_of(worker)
    first = await stopped_worker(worker, step, killed)
    told = await answered(worker, step)
    await let_go(first, killed)
    assert len(looked) == told.tool_calls == 2
    assert told == await worker.runtime.ledger(step).read_spent()
