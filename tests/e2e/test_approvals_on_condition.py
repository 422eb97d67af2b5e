"""Questions that expire on condition that nothing has changed, in the swarm with its timekeeper and an MCP server."""

import asyncio
import json
import os
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from tests.conftest import started
from tests.support.swarm import gateway, result_of, scripted, submit

pytestmark = pytest.mark.broker

__all__ = ["gateway"]

SERVER = Path(__file__).parents[1] / "support" / "stock_server.py"
GATE = '[approvals]\nexpires = 4\non_expiry = "reverify"\n'
FINAL = {"answer": "Ordered.", "facts": [], "sources": [], "confidence": 0.9, "caveats": []}


@pytest.fixture(scope="module")
async def swarm(own_kafka, model, tmp_path_factory):
    """The services of one step, in a shop whose questions expire soon."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "gate.toml").write_text(GATE)
    command = f"command = {json.dumps(sys.executable)}\nargs = {json.dumps([str(SERVER), str(folder)])}\n"
    look = '[servers.shop.tools.look]\nrisk = "low"\neffect = "read"\ndestinations = []\n'
    order = '[servers.shop.tools.order]\nrisk = "high"\neffect = "irreversible"\ndestinations = ["item"]\n'
    (folder / "servers.toml").write_text(f'[servers.shop]\n{command}agents = ["research"]\n{look}{order}')
    given = {"WAGGLE_KAFKA": own_kafka, "OPENAI_BASE_URL": f"{model}/v1", "OPENAI_API_KEY": "simulated"}
    given |= {"WAGGLE_GATE": str(folder / "gate.toml"), "WAGGLE_MCP": str(folder / "servers.toml")}
    services = ["gateway", "orchestrator", "timekeeper", "research", "reviewer"]
    async with started(folder, os.environ | given, services) as stack:
        stack.shop = folder
        yield stack


async def asked_to_order(swarm, gateway, model) -> tuple[str, str]:
    """A run that has read a stock of 5 and asks to order; and the item."""
    item = f"pens-{uuid4().hex[:8]}"
    set_stock(swarm, item, 5)
    calls = [("shop__look", {"item": item}), ("shop__order", {"item": item, "number": 100, "_confidence": 0.8})]
    for turn, (name, arguments) in enumerate(calls):
        when = {"agent": "research", "objective": item, "turn": turn}
        await scripted(model, {"when": when, "reply": {"calls": [{"name": name, "arguments": arguments}]}})
    await scripted(model, {"when": {"agent": "research", "objective": item, "turn": 2}, "reply": {"json": FINAL}})
    run_id = await submit(gateway, f"See to {item}", shape="single", agent="research")
    asked = await question_of(gateway, run_id)
    assert asked["proposal"]["stated_confidence"] == 0.8
    assert json.loads(asked["proposal"]["arguments"]) == {"item": item, "number": 100}
    return run_id, item


async def question_of(gateway, run_id: str) -> dict:
    async with asyncio.timeout(60):
        while not (asked := (await gateway.get(f"/v1/runs/{run_id}")).json()["waiting_for"]):
            await asyncio.sleep(0.1)
    return asked


def set_stock(swarm, item: str, left: int) -> None:
    (swarm.shop / "stock.json").write_text(json.dumps({item: left}))


def orders(swarm, item: str) -> list[str]:
    path = swarm.shop / "orders"
    return [line for line in path.read_text().splitlines() if item in line] if path.exists() else []


async def test_an_expired_question_lets_the_call_be_made_when_what_was_read_is_unchanged(swarm, gateway, model):
    run_id, item = await asked_to_order(swarm, gateway, model)
    result = await result_of(gateway, run_id)
    assert (result["status"], orders(swarm, item)) == ("complete", [f"100 {item}"])


async def test_an_expired_question_is_asked_again_with_the_differences_when_what_was_read_has_changed(
    swarm, gateway, model
):
    run_id, item = await asked_to_order(swarm, gateway, model)
    set_stock(swarm, item, 90)
    async with asyncio.timeout(60):
        while not (changes := (await question_of(gateway, run_id))["proposal"]["changes"]):
            await asyncio.sleep(0.2)
    assert len(changes) == 1
    assert changes[0].startswith("shop__look")
    assert changes[0].endswith("5 → 90")
    assert orders(swarm, item) == []
    await gateway.post(f"/v1/runs/{run_id}/cancel", json={"by": "eva", "reason": "seen enough"})
