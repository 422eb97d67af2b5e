"""The door to models: two simulated endpoints over real HTTP, limits and breakers in a real Redis, two replicas."""

import asyncio
import subprocess
import sys
import time
from contextlib import asynccontextmanager

import httpx
import pytest
from prometheus_client import CollectorRegistry

from infra.probe import answers, free_port
from schemas.budget import Usage
from shared.blackboard import OUTAGES, Sentinel
from shared.errors import RetryableError, TerminalError
from shared.llm import Models
from shared.llm.spending import Demand, unlimited
from shared.resilience import breaker as rules
from shared.telemetry.metrics import Metrics
from tests.support.models import ask, replica


@pytest.fixture(scope="module")
async def spare():
    """A second endpoint."""
    port = free_port()
    command = [sys.executable, "-m", "infra.simulated_model", "--port", str(port), "--allow-control"]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    async with asyncio.timeout(30):
        while not await answers(f"http://127.0.0.1:{port}/health"):
            await asyncio.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    server.terminate()
    server.wait()


@pytest.fixture(autouse=True)
async def clean(model, spare, monkeypatch):
    monkeypatch.setattr(rules, "REST", 0.5)
    yield
    for url in (model, spare):
        httpx.delete(f"{url}/scenarios", trust_env=False).raise_for_status()


@pytest.fixture
def chain(settings, model, spare, tmp_path):
    """Settings with `main`, and `spare` behind it."""
    file = tmp_path / "models.toml"

    def write(**limits: int) -> object:
        extra = "".join(f"{name} = {value}\n" for name, value in limits.items())
        file.write_text(
            '[roles]\nstrong = ["main", "spare"]\ncheap = ["spare"]\n'
            f'[endpoints.main]\nmodel = "waggle-simulated"\nbase_url = "{model}/v1"\nprice = [1, 2]\n{extra}'
            f'[endpoints.spare]\nmodel = "waggle-simulated-b"\nbase_url = "{spare}/v1"\nprice = [3, 4]\n'
        )
        return settings.model_copy(update={"models": file, "step_timeout": 20.0, "model_timeout": 5.0})

    return write


@pytest.fixture
def alone(settings, model):
    """Settings with one endpoint, as the plain variables name it."""
    return settings.model_copy(update={"openai_base_url": f"{model}/v1", "step_timeout": 20.0, "model_timeout": 5.0})


def play(url: str, **scenario) -> None:
    httpx.post(f"{url}/scenarios", json={"name": "test", **scenario}, trust_env=False).raise_for_status()


def count(url: str) -> int:
    return httpx.get(f"{url}/calls", trust_env=False).json()["count"]


def measured(models: Models, name: str, **labels: str) -> float:
    return models._metrics._registry.get_sample_value(name, labels) or 0.0


async def test_the_preferred_endpoint_answers_while_it_can_at_its_own_price(sentinel, chain, spare):
    before = count(spare)
    async with replica(chain()) as models:
        reply = await ask(models)
    assert (reply.endpoint, reply.instead_of, reply.model) == ("main", None, "waggle-simulated")
    assert reply.usage.cost_usd == pytest.approx(
        (reply.usage.prompt_tokens + 2 * reply.usage.completion_tokens) / 1_000_000
    )
    assert count(spare) == before


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ({"status": 500}, "status_500"),
        ({"status": 503, "retry_after": 30}, "status_503"),
        ({"status": 429, "retry_after": 30}, "rate_limited"),
        ({"status": 401}, "status_401"),
        ({"status": 404}, "status_404"),
        ({"drop": True}, "connection"),
    ],
)
async def test_another_endpoint_stands_in_and_the_reply_says_so(sentinel, chain, model, fault, why):
    play(model, fault=fault)
    async with replica(chain()) as models:
        began = time.monotonic()
        reply = await ask(models)
        assert time.monotonic() - began < 3
        assert (reply.endpoint, reply.instead_of, reply.model) == ("spare", "main", "waggle-simulated-b")
        assert measured(models, "waggle_model_fallbacks_total", endpoint="spare", instead_of="main") == 1
        assert measured(models, "waggle_model_requests_total", endpoint="main", outcome=why) == 1
        assert measured(models, "waggle_model_requests_total", endpoint="spare", outcome="ok") == 1


async def test_an_endpoint_that_stalls_leaves_the_other_half_of_the_time_to_the_next(sentinel, chain, model):
    play(model, fault={"delay": 4})
    async with replica(chain()) as models:
        began = time.monotonic()
        reply = await ask(models, within=3.0)
    assert reply.endpoint == "spare"
    assert 1.4 < time.monotonic() - began < 3


async def test_an_invalid_request_fails_over_to_no_other_endpoint(sentinel, chain, model, spare):
    play(model, fault={"status": 400})
    before = count(spare)
    async with replica(chain()) as models:
        with pytest.raises(TerminalError) as refused:
            await ask(models)
    assert refused.value.code == "model_refused"
    assert count(spare) == before


async def test_when_every_endpoint_fails_each_is_asked_three_times_and_it_is_worth_a_retry(
    sentinel, chain, model, spare
):
    play(model, fault={"status": 500})
    play(spare, fault={"status": 502})
    before = count(model), count(spare)
    async with replica(chain()) as models:
        with pytest.raises(RetryableError) as away:
            await ask(models)
    assert away.value.code == "model_unavailable"
    assert "main: status_500, spare: status_502" in str(away.value)
    assert (count(model) - before[0], count(spare) - before[1]) == (3, 3)


async def test_when_every_endpoint_refuses_it_is_final(sentinel, chain, model, spare):
    play(model, fault={"status": 401})
    play(spare, fault={"status": 404})
    async with replica(chain()) as models:
        with pytest.raises(TerminalError, match="main: status_401, spare: status_404"):
            await ask(models)


async def test_all_replicas_respect_a_retry_after_that_one_of_them_received(sentinel, alone, model):
    play(model, times=1, fault={"status": 429, "retry_after": 1.5})
    async with replica(alone) as one, replica(alone) as two:
        before, began = count(model), time.monotonic()
        first = asyncio.create_task(ask(one))
        await asyncio.sleep(0.5)
        second = asyncio.create_task(ask(two))
        await asyncio.sleep(0.7)
        assert count(model) - before == 1
        assert (await first).usage.model_calls == (await second).usage.model_calls == 1
        assert time.monotonic() - began >= 1.5
    assert count(model) - before == 3


async def test_a_caller_with_less_time_than_retry_after_gets_an_error_with_the_retry_time(sentinel, alone, model):
    play(model, times=1, fault={"status": 429, "retry_after": 40})
    async with replica(alone) as models:
        with pytest.raises(RetryableError) as busy:
            await ask(models, within=2.0)
    assert busy.value.after == pytest.approx(40, abs=3)


async def test_every_replica_suspends_a_failing_endpoint_until_a_probe_gets_through(sentinel, chain, model):
    play(model, fault={"status": 500})
    async with replica(chain()) as one, replica(chain()) as two:
        for each in (one, two, one, two, one):
            assert (await ask(each)).endpoint == "spare"
        before = count(model)
        replies = await asyncio.gather(*(ask(each) for each in (one, two) * 5))
        assert {each.endpoint for each in replies} == {"spare"}
        assert count(model) - before <= 3  # a probe each time its rest is over
        httpx.delete(f"{model}/scenarios", trust_env=False)
        await asyncio.sleep(0.6)
        assert (await ask(two)).endpoint == "main"
        assert (await ask(one)).endpoint == "main"
        changes = [
            measured(each, "waggle_breaker_changes_total", breaker="main", state="opened") for each in (one, two)
        ]
        assert sum(changes) >= 1


async def test_a_limit_of_requests_a_minute_holds_over_all_replicas_and_makes_calls_wait_instead_of_fail(
    sentinel, alone, model
):
    limited = alone.model_copy(update={"model_requests_per_minute": 120})
    before, began = count(model), time.monotonic()
    async with replica(limited) as one, replica(limited) as two:
        calls = [asyncio.create_task(ask(each)) for each in (one, two) * 8]
        await asyncio.sleep(1.0)
        assert count(model) - before <= 12 + 1.5 * 109 / 60
        await asyncio.gather(*calls)
    assert count(model) - before == 16
    assert time.monotonic() - began > 3 * 60 / 109


async def test_a_limit_of_tokens_a_minute_counts_what_was_really_used(sentinel, alone, model, redis):
    limited = alone.model_copy(update={"model_tokens_per_minute": 3_000})
    async with replica(limited) as models:
        reply = await ask(models)
    level = float(await redis.hget("waggle:bucket:model:127.0.0.1/waggle-simulated:tokens", "level"))
    used = reply.usage.prompt_tokens + reply.usage.completion_tokens
    assert level == pytest.approx(300 - used, abs=40)


async def test_a_preferred_endpoint_whose_limit_is_used_up_for_long_is_passed_over(sentinel, chain):
    async with replica(chain(requests_per_minute=1)) as models:
        assert [(await ask(models)).endpoint for _ in range(2)] == ["main", "spare"]


@pytest.mark.parametrize("claimed", ["none", (0, 0), (1, 5), (500, 0)])
async def test_usage_that_is_missing_or_cannot_be_is_estimated_and_marked(sentinel, alone, model, claimed):
    async with replica(alone) as models:
        honest = await ask(models)
        play(model, fault={"usage": claimed})
        found = await ask(models)
    assert (honest.usage.estimated, found.usage.estimated) == (0, 1)
    assert found.usage.prompt_tokens == pytest.approx(honest.usage.prompt_tokens, rel=0.3) or claimed == (500, 0)
    assert found.usage.completion_tokens > 0


async def test_while_redis_is_unavailable_no_model_is_called(sentinel, alone, model):
    before = count(model)
    models = Models(alone, Sentinel("redis://127.0.0.1:9/0").scripts, Metrics(CollectorRegistry()))
    with pytest.raises(OUTAGES):
        await ask(models)
    await models.close()
    assert count(model) == before


class Ledger:
    """Remembers what was asked of it."""

    def __init__(self, grant: int) -> None:
        self.demands: list[Demand] = []
        self.settled: list[Usage | None] = []
        self._grant = grant

    @asynccontextmanager
    async def spending(self, demand: Demand):
        self.demands.append(demand)
        self.settled.append(None)
        async with unlimited(demand._replace(max_output_tokens=self._grant)) as permit:
            place, ledger = len(self.settled) - 1, self

            class Noted:
                max_output_tokens = permit.max_output_tokens

                def settle(self, usage: Usage) -> None:
                    ledger.settled[place] = usage

            yield Noted()


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 429}, {"status": 403}, None])
async def test_a_request_that_was_refused_or_never_sent_is_settled_as_free(sentinel, chain, model, fault):
    changed, ledger = chain(), Ledger(50)
    if fault:
        play(model, times=1, fault=fault)
    else:
        changed.models.write_text(
            changed.models.read_text().replace(f"{model}/v1", f"http://127.0.0.1:{free_port()}/v1")
        )
    async with replica(changed) as models:
        reply = await ask(models, spending=ledger.spending)
    assert ledger.settled == [Usage(), reply.usage]


async def test_the_budget_is_asked_before_every_single_request_and_gets_its_outcome(sentinel, chain, model, spare):
    play(model, times=1, fault={"status": 429})
    play(spare, times=1, fault={"drop": True})
    before, ledger = count(model) + count(spare), Ledger(1)
    async with replica(chain()) as models:
        reply = await ask(models, spending=ledger.spending)
    assert count(model) + count(spare) - before == len(ledger.demands) == 3
    refused, unknown, answered = ledger.settled
    assert (refused, unknown, answered) == (Usage(), None, reply.usage)
    assert ledger.demands[0].request_bytes >= 400
    assert ledger.demands[1].price.prompt == 3
    assert (reply.finish_reason, reply.usage.completion_tokens) == ("length", 1)


async def test_texts_become_vectors_by_the_first_endpoint_that_can(sentinel, chain, spare):
    settings, ledger = chain(), Ledger(0)
    file = settings.models
    file.write_text(file.read_text().replace("[roles]", '[roles]\nembed = ["main", "spare"]'))
    file.write_text(file.read_text().replace('model = "waggle-simulated"\n', 'model = "none-such"\n'))
    async with replica(settings) as models:
        found = await models.embed(["red bees", "bees red", "a blue wall"], spending=ledger.spending)
    same, again, other = found.vectors
    assert same == again != other
    assert sum(x * x for x in same) == pytest.approx(1)
    assert (found.model, found.usage.estimated, found.usage.completion_tokens) == ("waggle-simulated-b", 0, 0)
    assert ledger.settled == [Usage(), found.usage]


async def test_without_an_embedding_model_that_is_said(sentinel, alone):
    async with replica(alone) as models:
        with pytest.raises(TerminalError, match="WAGGLE_MODEL_EMBED"):
            await models.embed(["x"])


async def test_more_calls_than_connections_wait_for_one_without_being_charged_or_opening_the_breaker(
    sentinel, alone, model
):
    """Six rounds of 0.4 s on four connections: longer than one request may take, shorter than the step."""
    play(model, fault={"delay": 0.4})
    few, ledger = alone.model_copy(update={"max_in_flight": 4, "model_timeout": 1.5}), Ledger(50)
    before = count(model)
    async with replica(few) as models:
        replies = await asyncio.gather(*(ask(models, spending=ledger.spending) for _ in range(24)))
        assert measured(models, "waggle_breaker_changes_total", breaker="main", state="opened") == 0
    assert count(model) - before == len(ledger.demands) == len(replies) == 24
    assert None not in ledger.settled


async def test_a_call_that_waits_for_money_does_not_keep_a_connection_from_others(sentinel, alone):
    granted, waiting = asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def poor(demand: Demand):
        while not granted.is_set():
            waiting.set()
            await demand.pause(0.01)
        async with unlimited(demand) as permit:
            yield permit

    async with replica(alone.model_copy(update={"max_in_flight": 1})) as models:
        poor_call = asyncio.create_task(ask(models, spending=poor))
        await waiting.wait()
        assert (await ask(models)).usage.model_calls == 1
        granted.set()
        assert (await poor_call).usage.model_calls == 1


async def test_a_call_whose_time_is_over_before_a_connection_is_free_is_worth_a_retry_and_free(sentinel, alone, model):
    play(model, fault={"delay": 2})
    ledger = Ledger(50)
    async with replica(alone.model_copy(update={"max_in_flight": 1})) as models:
        first = asyncio.create_task(ask(models))
        await asyncio.sleep(0.2)
        with pytest.raises(RetryableError, match="every connection is in use"):
            await ask(models, within=0.5, spending=ledger.spending)
        assert ledger.demands == []
        await first
