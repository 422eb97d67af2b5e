"""One trace a task, whole, from the upstream producer to the result: the exact tree of each shape, over real OTLP."""

import asyncio
import json
import os
from textwrap import dedent
from uuid import uuid4

import httpx
import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.aiokafka import AIOKafkaInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from tests.conftest import started
from tests.support.otlp import drawn, receiver, tree
from tests.support.swarm import envelope, publish, result_of, scripted, submit

AGENT = """\
process agents.{0}
  invoke_agent {0}
    chat waggle-simulated
  send runs
    process runs
"""
"""A hop to an agent that answers at once, and back."""

FINDINGS = {"answer": "yes", "facts": [], "sources": [], "confidence": 0.9, "caveats": []}


def indented(text: str, by: int) -> str:
    return "".join(f"{'  ' * by}{line}\n" for line in text.splitlines())


def agent(name: str, *below: str) -> str:
    """That hop, with what the orchestrator sends after it."""
    return f"send agents.{name}\n" + indented(AGENT.format(name), 1) + "".join(indented(each, 4) for each in below)


def run(*sent: str) -> str:
    """A whole run that sends these at its start."""
    inside = "".join(indented(each, 2) for each in ("send timers", *sent))
    return "process tasks\n  invoke_workflow waggle\n" + inside


def canonical(text: str) -> str:
    """The same tree with siblings in the order of their names: parallel steps begin in any."""
    lines = text.splitlines()

    def block(depth: int) -> list[str]:
        found = []
        while lines and len(lines[0]) - len(lines[0].lstrip()) == 2 * depth:
            line = lines.pop(0)
            found.append("\n".join([line, *block(depth + 1)]))
        return sorted(found)

    return "\n".join(block(0))


@pytest.fixture(scope="module")
async def traced(own_kafka, model, tmp_path_factory):
    """A swarm that exports, and what it exported."""
    with receiver() as received:
        environment = os.environ | {
            "WAGGLE_KAFKA": own_kafka,
            "OPENAI_BASE_URL": f"{model}/v1",
            "OPENAI_API_KEY": "simulated",
            "OTEL_EXPORTER_OTLP_ENDPOINT": received.url,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        async with started(tmp_path_factory.mktemp("traced"), environment) as stack:
            yield stack, received


@pytest.fixture
async def gateway(traced):
    async with httpx.AsyncClient(base_url=traced[0].endpoints["WAGGLE_GATEWAY"], timeout=30) as client:
        yield client


class Upstream:
    """Publishes tasks in traces of its own, as an upstream system does, and looks at what became of them."""

    def __init__(self, stack, received) -> None:
        self.stack, self.received = stack, received
        self.prefix = stack._environment["WAGGLE_TOPIC_PREFIX"]
        self.trace = uuid4().hex

    async def publish(self, value: bytes, topic: str = "tasks", **changes: str) -> str:
        task_id = f"task-{uuid4().hex}"
        traced = envelope(task_id, traceparent=f"00-{self.trace}-b7ad6b7169203331-01", **changes)
        await publish(self.stack, self.prefix + topic, value, **traced)
        return task_id

    def spans(self):
        return [span for span in self.received.spans if span.trace == self.trace]

    def named(self, name: str):
        return [span for span in self.spans() if span.name.replace(self.prefix, "") == name]

    def tree(self) -> str:
        return canonical(drawn(tree(self.spans())).replace(self.prefix, ""))

    async def comes_to(self, expected: str) -> None:
        """Return when the trace is the expected one; fail, showing both, when it is not in time."""
        wanted = canonical(dedent(expected))
        for _ in range(600):
            if self.tree() == wanted:
                break
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.3)  # nothing more may come
        assert self.tree() == wanted
        assert len({span.id for span in self.spans()}) == len(self.spans())


@pytest.fixture
def upstream(traced) -> Upstream:
    return Upstream(*traced)


async def planned(model: str, marker: str, **steps: list[str]) -> None:
    """Have the planner plan these steps, each with what it depends on, and their agent answer at once."""
    plan = [
        {"id": name, "objective": f"{marker} {name}", "agent": "communication", "depends_on": before}
        for name, before in steps.items()
    ]
    await scripted(model, {"when": {"agent": "planner", "objective": marker}, "reply": {"json": {"steps": plan}}})
    await scripted(model, {"when": {"agent": "communication", "objective": marker}, "reply": {"json": FINDINGS}})


def marked(**task) -> tuple[str, bytes]:
    marker = f"marker{uuid4().hex[:8]}"
    return marker, json.dumps({"objective": f"{marker} please", **task}).encode()


async def test_a_single_step(upstream, model):
    marker, task = marked(shape="single", agent="communication")
    await planned(model, marker, a=[])
    await upstream.publish(task)
    await upstream.comes_to(run(agent("communication", agent("reviewer", "send results"))))
    [whole] = upstream.named("invoke_workflow waggle")
    assert whole.attributes["waggle.state"] == "COMPLETE"
    [chat] = [
        span for span in upstream.named("chat waggle-simulated") if span.attributes["gen_ai.usage.output_tokens"]
    ][:1]
    assert chat.attributes["gen_ai.provider.name"] == "openai"
    assert not any("messages" in name for name in chat.attributes), "contents are on spans only if somebody wants that"
    at_work = (chat.attributes["gen_ai.agent.name"], chat.attributes["waggle.step"], chat.attributes["waggle.turn"])
    assert at_work in {("communication", "communication", 1), ("reviewer", "reviewer", 1)}
    changes = [each for span in upstream.spans() for each in span.events if each == "waggle.transition"]
    assert len(changes) == 5, "validating, planning, executing, reviewing, complete"


async def test_dependent_steps(upstream, model):
    marker, task = marked()
    await planned(model, marker, a=[], b=["a"])
    await upstream.publish(task)
    steps = agent("communication", agent("communication", agent("reviewer", "send results")))
    await upstream.comes_to(run(agent("planner", steps)))


async def test_a_step_that_depends_on_parallel_ones_is_sent_after_the_last_and_linked_to_the_others(upstream, model):
    marker, task = marked()
    await planned(model, marker, a=[], b=[], c=["a", "b"])
    await upstream.publish(task)
    last = agent("communication", agent("communication", agent("reviewer", "send results")))
    await upstream.comes_to(run(agent("planner", agent("communication"), last)))
    answers = {span.id for span in upstream.named("send runs")}
    by_links = sorted(len(span.links) for span in upstream.named("send agents.communication"))
    assert by_links == [0, 0, 1]
    [review] = upstream.named("send agents.reviewer")
    assert len(review.links) == 2
    assert set(review.links) <= answers


async def test_a_retry_is_in_the_same_trace_after_its_delay(upstream, model):
    marker, task = marked(shape="single", agent="communication")
    await planned(model, marker, a=[])
    away = {"agent": "communication", "objective": marker}
    await scripted(model, {"when": away, "fault": {"status": 503, "retry_after": 0}, "times": 3})
    await upstream.publish(task)
    failed = "".join(
        line.replace("chat waggle-simulated", "chat waggle-simulated FAILED") * (3 if "chat" in line else 1)
        for line in AGENT.format("communication").splitlines(keepends=True)
    )
    failed = failed.replace("invoke_agent communication", "invoke_agent communication FAILED")
    again = "send timers\n" + indented(agent("communication", agent("reviewer", "send results")), 1)
    await upstream.comes_to(run("send agents.communication\n" + indented(failed, 1) + indented(again, 4)))


async def test_the_gateways_account_of_a_run_agrees_with_its_spans(upstream, gateway, model):
    marker, task = marked(shape="single", agent="communication")
    await planned(model, marker, a=[])
    away = {"agent": "communication", "objective": marker}
    await scripted(model, {"when": away, "fault": {"status": 503, "retry_after": 0}, "times": 4})
    await upstream.publish(task)
    async with asyncio.timeout(20):
        while not (whole := upstream.named("invoke_workflow waggle")):
            await asyncio.sleep(0.1)
    spent = whole[0].attributes
    told = (await gateway.get(f"/v1/runs/{spent['waggle.run']}/trace")).json()
    assert (told["trace_id"], told["state"]) == (upstream.trace, spent["waggle.state"])
    assert told["usage"]["prompt_tokens"] == spent["gen_ai.usage.input_tokens"]
    assert [(each["id"], each["retries"]) for each in told["works"]] == [("communication", 1), ("reviewer", 0)]
    assert [each["status"] for each in told["works"][0]["attempts"]] == ["failed", "done"]
    turns = [each for work in told["works"] for attempt in work["attempts"] for each in attempt["actions"]]
    answered = [each["usage"]["prompt_tokens"] for each in turns if each["usage"]]
    assert len(answered) == 2
    assert sum(answered) == told["usage"]["prompt_tokens"]


async def test_a_task_that_fails_marks_the_whole_run(upstream, model):
    marker, task = marked(shape="single", agent="communication")
    await scripted(model, {"when": {"agent": "communication", "objective": marker}, "fault": {"status": 401}})
    await upstream.publish(task)
    failed = AGENT.format("communication").replace("chat waggle-simulated", "chat waggle-simulated FAILED")
    failed = failed.replace("invoke_agent communication", "invoke_agent communication FAILED")
    tree = run("send agents.communication\n" + indented(failed, 1) + indented("send results", 4))
    await upstream.comes_to(tree.replace("invoke_workflow waggle", "invoke_workflow waggle FAILED"))
    [chat] = upstream.named("chat waggle-simulated")
    assert chat.attributes["error.type"] == "status_401"


async def test_a_dead_letter_and_its_redrive_are_in_the_trace_of_what_died(upstream, gateway):
    await upstream.publish(b"not json", topic="agents.research", ce_type="waggle.do-step.v1")
    died = "process agents.research FAILED\n  send agents.research.dlt\n"
    await upstream.comes_to(died)
    async with asyncio.timeout(20):
        while not (found := await dead_of(gateway, upstream.trace)):
            await asyncio.sleep(0.2)
    answer = await gateway.post(f"/v1/dead-letters/{found[0]['name']}/redrive", json={"by": "ada"})
    assert answer.status_code == 200, answer.text
    await upstream.comes_to(died + indented("send agents.research\n" + indented(died, 1), 2))
    [redriven] = upstream.named("send agents.research")
    assert len(redriven.links) == 1, "the operator's request"


async def dead_of(gateway, trace: str) -> list[dict]:
    """The dead letters of a trace."""
    found = (await gateway.get("/v1/dead-letters", params={"topic": "agents.research"})).json()["letters"]
    shown = [(await gateway.get(f"/v1/dead-letters/{each['name']}")).json() for each in found]
    return [letter for letter in shown if letter["trace_id"] == trace]


async def test_the_consequences_of_a_persons_decision_are_in_the_runs_trace_and_linked_to_it(traced, gateway, model):
    _, received = traced
    marker = f"marker{uuid4().hex[:8]}"
    steps = [{"id": a, "objective": "x", "agent": "communication", "depends_on": [b]} for a, b in ("ab", "ba")]
    circle = {"when": {"agent": "planner", "objective": marker}, "reply": {"json": {"steps": steps}}, "times": 2}
    await planned(model, marker, a=[])
    await scripted(model, circle)
    run_id = await submit(gateway, f"Say hello {marker}", on_trouble="wait")
    async with asyncio.timeout(30):
        while (asked := (await gateway.get(f"/v1/runs/{run_id}")).json())["state"] != "WAITING_HUMAN":
            await asyncio.sleep(0.1)
    decision = {"by": "eva", "request_id": asked["waiting_for"]["request_id"], "decision": "approve", "answer": "again"}
    assert (await gateway.post(f"/v1/runs/{run_id}/decisions", json=decision)).status_code == 202
    assert (await result_of(gateway, run_id))["status"] == "complete"
    async with asyncio.timeout(20):
        while not any(
            s.name.startswith("invoke_workflow") and s.attributes["waggle.run"] == run_id for s in received.spans
        ):
            await asyncio.sleep(0.1)
    [whole] = [
        s for s in received.spans if s.name.startswith("invoke_workflow") and s.attributes["waggle.run"] == run_id
    ]
    [decided] = [s for s in received.spans if s.name.endswith("decisions") and s.attributes.get("waggle.run") == run_id]
    assert decided.trace != whole.trace
    [after] = [s for s in received.spans if decided.id in s.links and s.name.endswith("agents.planner")]
    assert (after.trace, after.parent) == (whole.trace, whole.id)


async def test_a_producer_with_the_instrumentation_of_aiokafka_begins_the_trace(upstream, model):
    marker, task = marked(shape="single", agent="communication")
    await planned(model, marker, a=[])
    provider = TracerProvider()
    exporter = OTLPSpanExporter(endpoint=f"{upstream.received.url}/v1/traces")
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    AIOKafkaInstrumentor().instrument(tracer_provider=provider)
    try:
        with provider.get_tracer("shop").start_as_current_span("sell") as sale:
            await publish(upstream.stack, upstream.prefix + "tasks", task, **envelope(f"task-{uuid4().hex}"))
    finally:
        AIOKafkaInstrumentor().uninstrument()
    upstream.trace = f"{sale.get_span_context().trace_id:032x}"
    whole = run(agent("communication", agent("reviewer", "send results")))
    await upstream.comes_to("sell\n  tasks send\n" + indented(whole, 2))
