"""One answer from specialists that disagree: every service its own process, the model server over HTTP."""

import asyncio
import os
import signal
from uuid import uuid4

import pytest

from tests.support.swarm import follow, result_of, scripted, submit

pytestmark = pytest.mark.broker

PLAIN = {"sources": [], "confidence": 0.9, "caveats": []}


@pytest.fixture
def marker() -> str:
    return f"marker{uuid4().hex[:8]}"


async def specialists(model: str, marker: str, after: dict[str, list[str]] | None = None, **prices: int) -> None:
    """Plan a step for each price, which its agent then finds. `after`: dependencies."""
    steps = [
        {
            "id": name,
            "objective": f"{marker} {name}",
            "agent": "research",
            "depends_on": (after or {}).get(name, []),
        }
        for name in prices
    ]
    await scripted(model, {"when": {"agent": "planner", "objective": marker}, "reply": {"json": {"steps": steps}}})
    for name, price in prices.items():
        found = {"answer": f"{name}: it costs {price}.", "facts": [{"name": "price", "value": price}], **PLAIN}
        when = {"agent": "research", "objective": f"{marker} {name}"}
        await scripted(model, {"when": when, "reply": {"json": found}})


def count(events: list[tuple[str, dict]], kind: str) -> int:
    return sum(kind in name for name, _ in events)


async def test_two_specialists_that_disagree_end_in_one_answer_that_names_both(gateway, model, marker):
    await specialists(model, marker, left=4, right=5)
    run_id = await submit(gateway, f"{marker} price?")
    events = await follow(gateway, run_id)
    result = await result_of(gateway, run_id)
    assert result["status"] == "complete", result["error"]
    [conflict] = result["conflicts"]
    assert {each["step_id"]: each["says"] for each in conflict["positions"]} == {
        "left": "price is 4",
        "right": "price is 5",
    }
    assert "step `left` says: price is 4; step `right` says: price is 5. Open" in result["answer"]
    assert any("disagree, and it could not be settled: price" in each for each in result["caveats"])
    assert result["confidence"] <= 0.45
    assert [count(events, f"synthesis-{each}") for each in ("requested", "written")] == [1, 1]
    trace = (await gateway.get(f"/v1/runs/{run_id}/trace")).json()
    assert [each["id"] for each in trace["works"]] == ["planner", "left", "right", "writer", "reviewer"]
    turns = (await gateway.get(f"/v1/runs/{run_id}/steps/writer/turns")).json()
    assert len(turns["turns"]) == 1


@pytest.mark.parametrize(("shape", "writes"), [("auto", 0), ("supervisor", 1)])
async def test_a_plan_with_one_end_is_synthesised_for_a_supervisor_only(gateway, model, marker, shape, writes):
    await specialists(model, marker, {"right": ["left"]}, left=4, right=4)
    run_id = await submit(gateway, f"{marker} price?", shape=shape)
    events = await follow(gateway, run_id)
    result = await result_of(gateway, run_id)
    assert (result["answer"], result["conflicts"]) == ("right: it costs 4.", [])
    assert count(events, "synthesis-requested") == writes


async def test_a_writer_killed_while_it_waits_for_its_model_leads_to_one_synthesis(swarm, gateway, model, marker):
    await specialists(model, marker, left=4, right=5)
    slow = {"when": {"agent": "writer", "objective": marker}, "fault": {"delay": 8}, "times": 1}
    await scripted(model, slow)
    run_id = await submit(gateway, f"{marker} price?")
    await awaited(gateway, run_id, "writer")
    child = next(child for child in swarm._children if child.name == "writer")
    os.kill(child.pid, signal.SIGKILL)
    events = await follow(gateway, run_id)
    result = await result_of(gateway, run_id)
    assert result["status"] == "complete", result["error"]
    assert [count(events, f"synthesis-{each}") for each in ("requested", "written")] == [1, 1]
    assert len(result["conflicts"]) == 1
    await asyncio.wait_for(child.await_ready(), 30)


async def awaited(gateway, run_id: str, work: str) -> None:
    """Return once the agent has started that work."""
    async with asyncio.timeout(30):
        while True:
            trace = (await gateway.get(f"/v1/runs/{run_id}/trace")).json()
            writing = [each for each in trace.get("works", []) if each["id"] == work]
            if writing and writing[0]["attempts"][0]["actions"]:
                return
            await asyncio.sleep(0.1)


async def test_a_writer_whose_model_gives_no_valid_reply_leaves_the_answers_joined_with_a_caveat(
    gateway, model, marker
):
    await specialists(model, marker, left=4, right=5)
    when = {"agent": "writer", "objective": marker}
    invented = {"subject": "price", "resolved": True, "resolution": "4", "reason": "so"}
    invented["positions"] = [{"step_id": each, "says": "4"} for each in ("left", "middle")]
    await scripted(
        model, {"when": when, "reply": {"json": {"answer": "4", "facts": [], "conflicts": [invented], **PLAIN}}}
    )
    result = await result_of(gateway, await submit(gateway, f"{marker} price?"))
    assert (result["status"], result["answer"]) == ("complete", "left: it costs 4.\n\nright: it costs 5.")
    [caveat] = result["caveats"]
    assert caveat.startswith("the answers of the last steps are joined as they are")
    assert "step `middle`, which does not exist" in caveat


async def test_a_reviewer_can_have_only_the_answer_written_again(gateway, model, marker):
    await specialists(model, marker, left=4, right=4)
    refused = {"accepted": False, "reasons": ["too short"], "redo": []}
    when = {"agent": "reviewer", "objective": marker, "feedback": False}
    await scripted(model, {"when": when, "reply": {"json": refused}, "times": 1})
    second = {"answer": "It costs 4, both say.", "facts": [], "conflicts": [], **PLAIN}
    again = {"agent": "writer", "objective": marker, "feedback": True}
    await scripted(model, {"when": again, "reply": {"json": second}})
    run_id = await submit(gateway, f"{marker} price?")
    events = await follow(gateway, run_id)
    result = await result_of(gateway, run_id)
    assert (result["status"], result["answer"]) == ("complete", "It costs 4, both say.")
    assert count(events, "step-dispatched") == 2
    assert count(events, "synthesis-written") == 2
