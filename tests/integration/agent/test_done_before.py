"""Calls that a run has made are not made again by a later plan, round or try, as an outside ledger counts them."""

import asyncio
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from types import SimpleNamespace

import httpx
import pytest

from infra.probe import answers, free_port
from schemas.approval import CarryOut, HumanDecided
from schemas.event import Moved, State
from schemas.plan import Effect, Risk
from schemas.step import DoStep, Findings, HandoffFailed, HelpAsked, MakePlan, StepCompleted
from schemas.task import Task
from shared.agent.actions.effects import Effects, answer_from
from shared.agent.actions.tool_calls import ParsedToolCall
from shared.agent.execution import execute
from shared.agent.handoff_run import HandoffRun
from shared.agent.runtime import AgentRuntime
from shared.agent.worker import recorded_totals
from shared.blackboard import OUTAGES
from shared.bus import encode
from shared.errors import RetryableError, TerminalError
from shared.llm import ToolRequest
from shared.tools import OUTCOME_UNKNOWN, ToolContext, ToolError, tool
from tests.support.agent_loop import agent, underway, worker
from tests.support.questions import first_asked
from tests.support.run_world import World, plan_of

__all__ = ["agent", "worker"]

LEDGER = {"url": ""}


async def act(op: str, effect: Effect, call: ToolContext) -> int:
    """Have the ledger count a call; 503 says that nothing has happened, 500 says nothing."""
    headers = {"Idempotency-Key": call.idempotency_key, "X-Caller": str(os.getpid()), "Fencing-Epoch": str(call.epoch)}
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(f"{LEDGER['url']}/effects", json={"op": op, "effect": effect}, headers=headers)
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        raise ToolError("unavailable", "the ledger takes nothing now")
    if answer.is_error:
        raise ToolError(OUTCOME_UNKNOWN, "the ledger did not say")
    return int(answer.json()["count"])


@tool(risk=Risk.LOW, effect=Effect.IRREVERSIBLE, destinations=("to",), magnitudes={"money": "amount"})
async def pay(to: str, amount: float, memo: str = "", *, call: ToolContext) -> int:
    """Pay."""
    return await act(f"pay {to} {amount:g}", Effect.IRREVERSIBLE, call)


@tool(risk=Risk.LOW, effect=Effect.COMPENSABLE, destinations=("room",))
async def book(room: str, hour: int, *, call: ToolContext) -> int:
    """Book a room."""
    return await act(f"book {room} {hour}", Effect.COMPENSABLE, call)


@tool(risk=Risk.LOW, effect=Effect.IDEMPOTENT, destinations=("slot",))
async def put(slot: str, value: str, *, call: ToolContext) -> int:
    """Set a value."""
    return await act(f"put {slot} {value}", Effect.IDEMPOTENT, call)


@tool(risk=Risk.CRITICAL, effect=Effect.IRREVERSIBLE, destinations=("what",))
async def erase(what: str, *, call: ToolContext) -> int:
    """Erase something: a person is always asked."""
    return await act(f"erase {what}", Effect.IRREVERSIBLE, call)


@pytest.fixture
async def ledger(tmp_path):
    """The ledger's address, in a process of its own."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = ["-m", "tests.faults.ledger", "--port", str(port), "--file", str(tmp_path / "ledger.jsonl")]
    process = subprocess.Popen([sys.executable, *command])
    async with asyncio.timeout(60):
        while not await answers(f"{url}/health"):
            await asyncio.sleep(0.05)
    LEDGER["url"] = url
    yield url
    process.terminate()
    process.wait()


async def counted(ledger: str) -> list[str]:
    async with httpx.AsyncClient(trust_env=False) as client:
        return [each["op"] for each in (await client.get(f"{ledger}/effects")).json()]


async def rule(ledger: str, op: str, do: str, when: str = "before", seconds: float = 0.0) -> None:
    told = {"op": op, "do": do, "when": when, "seconds": seconds}
    async with httpx.AsyncClient(trust_env=False) as client:
        (await client.post(f"{ledger}/rules", json=told)).raise_for_status()


class Swarm:
    """A run in the pure core whose steps a real worker does; `script` says which calls each step makes."""

    def __init__(self, worker, agent, **task) -> None:
        agent.name, agent.tools = "data", [pay, book, put, erase]
        self.worker, self.script, self.said = worker, {}, {}
        self.world = World(Task(objective="pay ada", shape="supervisor", **task), now=datetime.now(UTC)).start()

        @agent.handles
        async def work(step: DoStep, ctx) -> Findings:
            said = self.said[step.step_id] = []
            for name, arguments in self.script[step.step_id]:
                if name == "fail":
                    raise RetryableError("as the script says")
                said.append(await ctx.call(name, **arguments))
            return Findings(answer=f"{step.step_id}: {said}", facts=[], sources=[], confidence=1.0, caveats=[])

    def plan(self, **scripts) -> None:
        self.script |= scripts
        before = dict(zip(scripts, ["", *scripts], strict=False))
        self.world.plan(plan_of(**before))

    async def do(self, step_id: str):
        """Have the worker do the step that waits, and let the run take the answer."""
        step = self.world.handoff(step_id)
        await underway(self.worker, step)
        answer = await self.worker.execute(step)
        self.world.open.pop(step.id)
        self.world.tell(answer)
        return answer

    def decide(self, decision: str, answer: str = "") -> None:
        about = {"run_id": "run-1", "tenant": "default", "by": "eva", "answer": answer}
        request = first_asked(self.world.run).request_id
        self.world.tell(HumanDecided(**about, request_id=request, decision=decision))


ADA = ("pay", {"to": "ada", "amount": 10})


@pytest.mark.parametrize(
    ("first", "op"),
    [
        (ADA, "pay ada 10"),
        (("book", {"room": "7", "hour": 9}), "book 7 9"),
        (("put", {"slot": "state", "value": "open"}), "put state open"),
    ],
)
async def test_a_new_plan_after_a_rejection_gets_the_recorded_result_and_makes_no_second_call(
    worker, agent, ledger, first, op
):
    swarm = Swarm(worker, agent)
    swarm.plan(one=[first], two=[("erase", {"what": "all"})])
    await swarm.do("one")
    assert isinstance(await swarm.do("two"), HelpAsked)
    swarm.decide("reject", "erase nothing")
    (asked,) = swarm.world.waiting(MakePlan)[-1:]
    assert [(each.tool, each.outcome) for each in asked.effected] == [(first[0], "made"), ("erase", "refused")]
    swarm.plan(other=[first])
    reply = await swarm.do("other")
    assert isinstance(reply, StepCompleted)
    assert await counted(ledger) == [op]
    assert swarm.said["other"] == [1]  # what the ledger said the first time
    assert [(each.verdict, each.rule) for each in reply.judged[:1]] == [("deny", "already_made")]
    swarm.world.review()
    (result,) = swarm.world.results
    assert [(each.tool, each.outcome) for each in result.acting_calls] == [(first[0], "made"), ("erase", "refused")]
    assert (result.status, result.incomplete_effects) == ("complete", False)


async def test_a_call_that_is_insisted_on_is_asked_about_and_made_when_a_person_permits_it(worker, agent, ledger):
    swarm = Swarm(worker, agent)
    swarm.plan(one=[ADA], two=[ADA, ADA])
    await swarm.do("one")
    asked = await swarm.do("two")
    assert (asked.proposal.rule, asked.proposal.tool) == ("repetition", "pay")
    assert await counted(ledger) == ["pay ada 10"]
    swarm.decide("approve")
    await swarm.do("two")
    assert await counted(ledger) == ["pay ada 10"] * 2


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (ADA, ("pay", {"to": " ADA ", "amount": 10, "memo": "again"})),
        (ADA, ("pay", {"to": "ada", "amount": 11})),
        (("book", {"room": "7", "hour": 9}), ("book", {"room": "7", "hour": 10})),
        (("put", {"slot": "state", "value": "open"}), ("put", {"slot": "state", "value": "shut"})),
    ],
)
async def test_a_new_plan_that_words_the_call_otherwise_is_asked_about(worker, agent, ledger, before, after):
    swarm = Swarm(worker, agent)
    swarm.plan(one=[before], two=[("erase", {"what": "all"})])
    await swarm.do("one")
    await swarm.do("two")
    swarm.decide("reject", "erase nothing")
    swarm.plan(other=[after])
    asked = await swarm.do("other")
    assert isinstance(asked, HelpAsked)
    assert asked.proposal.rule == "repetition"
    assert len(await counted(ledger)) == 1


async def test_defaults_that_are_written_out_make_no_other_call(worker, agent, ledger):
    swarm = Swarm(worker, agent)
    swarm.plan(one=[ADA], two=[("pay", {"to": "ada", "amount": 10.0, "memo": ""})])
    await swarm.do("one")
    assert isinstance(await swarm.do("two"), StepCompleted)
    assert await counted(ledger) == ["pay ada 10"]


async def test_effects_made_before_a_step_failed_are_not_repeated_by_the_next_plan(worker, agent, ledger):
    swarm = Swarm(worker, agent)
    swarm.plan(one=[ADA, ("erase", {"what": "all"})])
    asked = await swarm.do("one")
    assert [each.outcome for each in asked.effected] == ["made"]
    swarm.decide("reject", "not that")
    swarm.plan(again=[ADA])
    await swarm.do("again")
    assert await counted(ledger) == ["pay ada 10"]


async def test_a_redone_step_answers_from_the_record_and_the_run_ends_complete(worker, agent, ledger):
    swarm = Swarm(worker, agent)
    swarm.plan(one=[ADA])
    await swarm.do("one")
    swarm.world.review(accepted=False)
    await swarm.do("one")
    assert await counted(ledger) == ["pay ada 10"]


async def test_a_call_of_unknown_outcome_is_asked_about_by_every_later_plan(worker, agent, ledger):
    swarm = Swarm(worker, agent)
    await rule(ledger, "pay ada 10", "fail", "after")
    swarm.plan(one=[ADA])
    asked = await swarm.do("one")
    assert "not known whether" in asked.question
    assert [each.outcome for each in asked.effected] == ["unknown"]
    swarm.decide("reject", "plan it otherwise")
    swarm.plan(other=[ADA])
    asked = await swarm.do("other")
    assert (asked.proposal.rule, "may have been called" in asked.proposal.reason) == ("repetition", True)
    assert await counted(ledger) == ["pay ada 10"]


async def test_a_complete_run_whose_call_was_never_made_says_so(worker, agent, ledger):
    swarm = Swarm(worker, agent)
    await rule(ledger, "pay ada 10", "refuse")
    swarm.plan(one=[ADA])
    await swarm.do("one")
    (review,) = [each.message for each in swarm.world.open.values() if each.id.endswith("@review/0.0.1")]
    assert [each.outcome for each in review.effected] == ["failed"]
    swarm.world.review()
    (result,) = swarm.world.results
    assert (result.status, result.incomplete_effects) == ("complete", True)
    assert [(each.tool, each.outcome) for each in result.acting_calls] == [("pay", "failed")]
    assert any("`pay` was not made" in each for each in result.caveats)
    assert await counted(ledger) == []


async def test_a_call_that_failed_may_be_made_by_the_next_plan_and_is_then_not_missing(worker, agent, ledger):
    swarm = Swarm(worker, agent)
    await rule(ledger, "pay ada 10", "refuse")
    swarm.plan(one=[ADA])
    await swarm.do("one")
    swarm.world.review(accepted=False)
    await swarm.do("one")
    swarm.world.review()
    assert await counted(ledger) == ["pay ada 10"]
    assert swarm.world.results[0].incomplete_effects is False


async def test_a_failed_and_a_cancelled_run_list_what_they_made(worker, agent, ledger):
    swarm = Swarm(worker, agent)
    swarm.plan(one=[ADA, ("fail", {})])
    for _ in range(12):
        assert isinstance(await swarm.do("one"), HandoffFailed)
    (result,) = swarm.world.results
    assert (result.status, [each.outcome for each in result.acting_calls]) == ("failed", ["made"])
    assert await counted(ledger) == ["pay ada 10"]


async def test_an_applied_dry_run_keeps_its_answer_and_lists_its_calls(worker, agent, ledger):
    swarm = Swarm(worker, agent, dry_run=True)
    swarm.plan(one=[ADA])
    await swarm.do("one")
    swarm.world.review()
    (shown,) = swarm.world.results
    assert (shown.acting_calls, len(shown.effects)) == ([], 1)
    swarm.world.tell(CarryOut(run_id="run-1", tenant="default", by="eva", reason="", digest=shown.effects_digest))
    await swarm.do("one")
    assert any(isinstance(each, Moved) and each.target is State.COMPLETE for each in swarm.world.events)
    applied = swarm.world.results[-1]
    assert applied.answer.startswith("one: ")
    assert (applied.effects, applied.effects_digest, applied.applied_by) == (shown.effects, shown.effects_digest, "eva")
    assert [(each.tool, each.outcome) for each in applied.acting_calls] == [("pay", "made")]
    assert await counted(ledger) == ["pay ada 10"]


async def test_a_call_that_a_dropped_plan_started_and_never_reported_is_asked_about(worker, agent, ledger):
    """The worker of the first call is killed in it: its answer comes after the new plan's step."""
    swarm = Swarm(worker, agent)
    swarm.script = {"one": [ADA], "two": [("erase", {"what": "all"})]}
    swarm.world.plan(plan_of(one="", two=""))
    killed = swarm.world.handoff("one")
    await underway(worker, killed)
    await rule(ledger, "pay ada 10", "delay", "after", seconds=4)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(worker.execute(killed), 2)
    await swarm.do("two")
    swarm.decide("reject", "erase nothing")
    swarm.plan(other=[ADA])
    asked = await swarm.do("other")
    assert isinstance(asked, HelpAsked)
    assert (asked.proposal.rule, "was started at run-1/one/0.0" in asked.proposal.reason) == ("repetition", True)
    assert await counted(ledger) == ["pay ada 10"]
    late = await worker.execute(killed)
    assert [(each.tool, each.outcome) for each in late.effected] == [("pay", "unknown")]


async def test_equal_calls_of_two_steps_at_once_are_made_once_and_asked_about(worker, agent, ledger):
    swarm = Swarm(worker, agent)
    swarm.script = {"one": [ADA], "two": [ADA]}
    swarm.world.plan(plan_of(one="", two=""))
    steps = [swarm.world.handoff(each) for each in ("one", "two")]
    await underway(worker, steps[0])
    journals = [await worker.runtime.journal(each).open() for each in steps]
    works = [HandoffRun.of(worker.runtime, *each) for each in zip(steps, journals, strict=True)]
    replies = await asyncio.gather(*map(execute, works))
    assert {type(each) for each in replies} == {StepCompleted, HelpAsked}
    assert await counted(ledger) == ["pay ada 10"]


async def test_a_call_that_was_answered_from_the_record_is_in_no_delivery_reported_as_made(worker, agent, ledger):
    """The second delivery replays the journal; the third, with no handler, only reads it."""
    swarm = Swarm(worker, agent)
    swarm.plan(one=[ADA], two=[ADA, ("fail", {})])
    await swarm.do("one")
    for _ in range(2):
        assert (await swarm.do("two")).effected == []
    assert (await recorded_totals(worker.runtime, swarm.world.handoff("two")))["effected"] == []
    assert [(each.work_id, each.outcome) for each in swarm.world.run.effected] == [("run-1/one/0.0", "made")]


async def test_an_answer_from_the_record_that_an_older_version_marked_as_acting_is_not_reported_as_made(worker, agent):
    swarm = Swarm(worker, agent)
    swarm.plan(one=[ADA])
    step = swarm.world.handoff("one")
    await underway(worker, step)
    request = ToolRequest(id="1", name="pay", arguments=json.dumps(ADA[1]))
    begun = Effects(step).record_of(ParsedToolCall("call-1", request, pay, ADA[1], None))
    made = begun.model_copy(update={"outcome": "made", "result": "1"})
    about = {"kind": "tool_call", "name": "pay", "acting": made.model_dump(mode="json")}
    await (await worker.runtime.journal(step).open()).write("call-1", answer_from(made), of=about)
    assert (await recorded_totals(worker.runtime, step))["effected"] == []


async def test_a_value_that_is_set_changed_and_set_back_by_three_steps_is_set_back(worker, agent, ledger):
    swarm = Swarm(worker, agent)
    on, off = ({"slot": "hall", "value": each} for each in ("on", "off"))
    swarm.plan(one=[("put", on)], two=[("put", off)], three=[("put", on)])
    for each in ("one", "two", "three"):
        assert isinstance(await swarm.do(each), StepCompleted)
    assert await counted(ledger) == ["put hall on", "put hall off", "put hall on"]


async def test_a_handoff_is_answered_also_when_what_killed_it_is_in_its_journal(worker, agent, monkeypatch):
    swarm = Swarm(worker, agent)
    swarm.plan(one=[ADA])
    step = swarm.world.handoff("one")
    await underway(worker, step)
    journal = await worker.runtime.journal(step).open()
    await journal.write("call-1", "no JSON", of={"kind": "tool_call", "acting": {"not": "a record"}})
    published = []

    async def publish(runtime, answer, cause) -> None:
        published.append(answer)

    monkeypatch.setattr(AgentRuntime, "publish", publish)
    prefix = worker.runtime.settings.topic_prefix
    sent = encode(step, id=step.id, source="/test", prefix=prefix, now=datetime.now(UTC))
    headers = [(name, said.encode()) for name, said in sent.headers.items()]
    record = SimpleNamespace(topic=sent.topic, partition=0, offset=0, key=sent.key, value=sent.value, headers=headers)
    await worker.on_dead(record, TerminalError("it cannot be read", code="defect"))
    (answer,) = published
    assert (answer.error.code, answer.effected, answer.handoff_id) == ("defect", [], step.id)


async def test_a_handoff_whose_journal_is_unavailable_is_answered_later(worker, agent, monkeypatch):
    swarm = Swarm(worker, agent)
    swarm.plan(one=[ADA])
    step = swarm.world.handoff("one")
    monkeypatch.setattr(worker.runtime.sentinel, "generation", "9:another")
    with pytest.raises(OUTAGES):
        await recorded_totals(worker.runtime, step)
