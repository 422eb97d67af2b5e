"""Before an endpoint: callers wait for budget outside of it, and an interrupted caller returns the probe."""

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from schemas.budget import Usage
from shared.blackboard import Sentinel
from shared.errors import RetryableError
from shared.llm import Demand
from shared.llm.endpoints import Endpoint
from shared.llm.failover import Call, Failover
from shared.llm.limiter import EndpointLimiter
from shared.llm.prices import Price
from shared.llm.reply import Reply
from shared.resilience import Breaker, Outcome
from shared.resilience import breaker as rules
from shared.telemetry.metrics import Metrics

USAGE = Usage(prompt_tokens=10, completion_tokens=5, model_calls=1)
LEASE = 60.0


@pytest.fixture
async def gates(sentinel, settings, monkeypatch):
    """Two replicas' ways to one endpoint whose breaker opens soon and rests shortly."""
    monkeypatch.setattr(rules, "REST", 0.1)
    endpoint = Endpoint(
        name="one",
        model="m",
        base_url=None,
        api_key=SecretStr("none"),
        requests_per_minute=600,
        tokens_per_minute=0,
        price=Price(1, 2),
        context_window=8_000,
    )
    sentinels = [Sentinel(settings.redis) for _ in range(2)]
    for each in sentinels:
        await each.refresh()
    yield [EndpointLimiter(endpoint, each.scripts, Metrics(CollectorRegistry()), LEASE, 16) for each in sentinels]
    for each in sentinels:
        await each.close()


async def opened(sentinel) -> Breaker:
    """The breaker of that endpoint, open and ready for a probe: the next caller."""
    breaker = Breaker(sentinel.scripts, "model:one", LEASE)
    for _ in range(rules.FAILURES):
        await breaker.report(await breaker.admit(), Outcome.FAILED)
    await asyncio.sleep(0.15)
    return breaker


class Account:
    """Money that there is only once `there` is set; remembers what was settled."""

    def __init__(self) -> None:
        self.there = asyncio.Event()
        self.waiting = asyncio.Event()
        self.settled: list[Usage | None] = []
        self.max_output_tokens = 100

    def settle(self, usage: Usage) -> None:
        self.settled[-1] = usage

    @asynccontextmanager
    async def spending(self, demand: Demand):
        self.waiting.set()
        await self.there.wait()
        self.settled.append(None)
        yield self


def call(account: Account, *, seconds: float = 0.0) -> Call[Reply]:
    async def send(endpoint: Endpoint, longest: int, within: float) -> Reply:
        await asyncio.sleep(seconds)
        return Reply(content="", tool_requests=[], finish_reason="stop", model="m", seconds=0, usage=USAGE)

    return Call(lambda endpoint: Demand("m", 10, 100, endpoint.price), account.spending, send, 10)


async def cut_off(task: asyncio.Task) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_a_caller_waiting_for_budget_blocks_no_other_from_the_endpoint_even_as_its_probe(sentinel, gates):
    await opened(sentinel)
    poor, rich = Account(), Account()
    rich.there.set()
    waiting = asyncio.create_task(Failover([gates[0]], 10, 10).ask(call(poor)))
    await poor.waiting.wait()
    async with asyncio.timeout(2):
        assert (await Failover([gates[1]], 10, 10).ask(call(rich))).usage == USAGE
    poor.there.set()
    assert (await waiting).usage == USAGE
    assert poor.settled == rich.settled == [USAGE]


@pytest.mark.parametrize("where", ["admit", "take", "send"])
async def test_a_call_that_is_cut_off_gives_the_probe_back_wherever_it_is(sentinel, gates, monkeypatch, where):
    breaker = await opened(sentinel)
    account, there = Account(), asyncio.Event()
    account.there.set()
    held = {"admit": gates[0]._breaker.scripts, "take": gates[0]._buckets, "send": None}[where]
    with monkeypatch.context() as patched:
        if held is not None:
            name = {"admit": "run", "take": "take"}[where]
            own = getattr(held, name)

            async def stuck(*arguments):
                found = await own(*arguments)
                if not there.is_set():
                    there.set()
                    await asyncio.sleep(60)  # what Redis has done is done, and its caller never hears of it
                return found

            patched.setattr(held, name, stuck)
        task = asyncio.create_task(Failover([gates[0]], 10, 10).ask(call(account, seconds=60)))
        await (there.wait() if held is not None else asyncio.sleep(0.3))
        await cut_off(task)
    assert (await breaker.admit()).state == "probe"
    assert account.settled == [None if where == "send" else Usage()]


async def test_a_call_that_is_let_in_nowhere_costs_nothing(sentinel, gates):
    breaker = Breaker(sentinel.scripts, "model:one", LEASE)
    await breaker.report(await breaker.admit(), Outcome.WORKED, hold=30)
    account = Account()
    account.there.set()
    with pytest.raises(RetryableError) as closed:
        await Failover([gates[0]], 0.5, 10).ask(call(account))
    assert closed.value.code == "model_unavailable"
    assert account.settled
    assert set(account.settled) == {Usage()}
