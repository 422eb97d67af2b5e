"""Metrics of the services on the real swarm: the right numbers, each once."""

import asyncio
import json
from collections import defaultdict
from uuid import uuid4

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.swarm import follow, publish, result_of, scripted, submit

FINDINGS = {"answer": "yes", "facts": [], "sources": [], "confidence": 0.9, "caveats": []}
ADD = {"calls": [{"name": "no_such_tool", "arguments": {}}]}


@pytest.fixture
async def gateway(swarm):
    async with httpx.AsyncClient(base_url=swarm.endpoints["WAGGLE_GATEWAY"], timeout=30) as client:
        yield client


class Counts(defaultdict):
    """Sample (name, labels) → value; missing samples are 0."""

    def __init__(self) -> None:
        super().__init__(float)

    def __call__(self, name: str, **labels: str) -> float:
        return sum(
            value for (sample, known), value in self.items() if sample == name and labels.items() <= dict(known).items()
        )


def ports(swarm) -> list[str]:
    """Addresses of the services' metrics."""
    return [each._environment["WAGGLE_HTTP_PORT"] for each in swarm._children if each.name in swarm._services]


async def counts(swarm) -> Counts:
    """All samples of all services, added up."""
    found = Counts()
    async with httpx.AsyncClient() as client:
        for port in ports(swarm):
            text = (await client.get(f"http://127.0.0.1:{port}/metrics", follow_redirects=True)).text
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    found[sample.name, tuple(sorted(sample.labels.items()))] += sample.value
    return found


async def rising(swarm, before: Counts, name: str, by: float, **labels: str) -> None:
    """Return when the sample has risen by so much; fail when it has not in time."""
    for _ in range(100):
        if (await counts(swarm))(name, **labels) == before(name, **labels) + by:
            return
        await asyncio.sleep(0.1)
    assert (await counts(swarm))(name, **labels) == before(name, **labels) + by


async def test_a_run_is_counted_once_with_all_it_took(swarm, gateway, model):
    marker = f"marker{uuid4().hex[:8]}"
    await scripted(model, {"when": {"agent": "communication", "objective": marker}, "reply": {"json": FINDINGS}})
    await scripted(model, {"when": {"agent": "communication", "objective": marker, "turn": 0}, "reply": ADD})
    before = await counts(swarm)
    run_id = await submit(gateway, f"{marker} please", shape="single", agent="communication")
    result = await result_of(gateway, run_id)
    assert result["status"] == "complete"
    await rising(swarm, before, "waggle_runs_finished_total", 1, state="COMPLETE", tenant="default")
    after = await counts(swarm)

    def risen(name: str, **labels: str) -> float:
        return after(name, **labels) - before(name, **labels)

    assert risen("waggle_runs_started_total", tenant="default") == 1
    assert risen("waggle_run_duration_seconds_count", state="COMPLETE") == 1
    assert risen("waggle_run_handoffs_sum") == 2, "the step and its review"
    assert risen("waggle_step_duration_seconds_count", agent="communication") == 1
    assert risen("waggle_model_calls_total", agent="communication", outcome="ok") == 2
    assert risen("waggle_model_calls_total", outcome="ok") == result["usage"]["model_calls"]
    tokens = result["usage"]["prompt_tokens"], result["usage"]["completion_tokens"]
    assert (risen("waggle_tokens_total", kind="input"), risen("waggle_tokens_total", kind="output")) == tokens
    assert risen("waggle_context_used_ratio_count") == result["usage"]["model_calls"]
    assert risen("waggle_tool_calls_total", tool="unknown", outcome="unknown_tool") == 1
    assert risen("waggle_run_budget_used_ratio_count", limit="tokens") == 1
    assert risen("waggle_delivery_duration_seconds_count") >= 5


async def test_failures_retries_and_questions_are_counted(swarm, gateway, model):
    marker = f"marker{uuid4().hex[:8]}"
    away = {"agent": "communication", "objective": marker}
    await scripted(model, {"when": away, "reply": {"json": FINDINGS}})
    await scripted(model, {"when": away, "fault": {"status": 503, "retry_after": 0}, "times": 4})
    before = await counts(swarm)
    run_id = await submit(gateway, f"{marker} please", shape="single", agent="communication")
    await follow(gateway, run_id)
    await rising(swarm, before, "waggle_step_failures_total", 1, agent="communication", error="model_unavailable")
    await rising(swarm, before, "waggle_model_calls_total", 1, agent="communication", outcome="model_unavailable")
    await rising(swarm, before, "waggle_runs_finished_total", 1, state="COMPLETE")
    assert (await counts(swarm))("waggle_timers_fired_total") > before("waggle_timers_fired_total")


async def test_dead_letters_are_counted_by_topic_and_reason(swarm):
    before = await counts(swarm)
    topic = swarm._environment["WAGGLE_TOPIC_PREFIX"] + "agents.research"
    await publish(swarm, topic, json.dumps({}).encode())
    await rising(swarm, before, "waggle_dead_letters_total", 1, topic=topic, error="invalid_envelope")


async def test_consumers_say_how_far_they_are_and_the_blackboard_is_whole(swarm):
    prefix = swarm._environment["WAGGLE_TOPIC_PREFIX"]
    for _ in range(100):
        found = await counts(swarm)
        if found("waggle_consumer_lag", group=f"{prefix}orchestrator") == 0:
            break
        await asyncio.sleep(0.1)
    assert found("waggle_consumer_lag", group=f"{prefix}orchestrator") == 0
    assert found("waggle_commit_age_seconds", group=f"{prefix}orchestrator") < 60
    assert found("waggle_blackboard_whole") == len(ports(swarm)) - 2, "all but the timekeeper and the console"


async def test_the_deadline_of_a_run_waits_as_a_timer_until_the_run_ends(swarm, gateway, model):
    marker = f"marker{uuid4().hex[:8]}"
    here = {"agent": "communication", "objective": marker}
    await scripted(model, {"when": here, "reply": {"json": FINDINGS}})
    await scripted(model, {"when": here, "fault": {"delay": 2, "status": 503, "retry_after": 0}, "times": 1})
    before = await timers_at_rest(swarm)
    run_id = await submit(gateway, f"{marker} please", shape="single", agent="communication")
    await rising(swarm, before, "waggle_timers_waiting", 1)
    assert (await result_of(gateway, run_id))["status"] == "complete"
    await rising(swarm, before, "waggle_timers_waiting", 0)


async def timers_at_rest(swarm) -> Counts:
    """The counts once no more timers of ended runs are being erased."""
    found = await counts(swarm)
    async with asyncio.timeout(20):
        while (earlier := found)("waggle_timers_waiting") != 0:
            await asyncio.sleep(1)
            found = await counts(swarm)
            if found("waggle_timers_waiting") == earlier("waggle_timers_waiting"):
                break
    return found
