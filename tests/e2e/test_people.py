"""Rules for people in the whole swarm: two of a group, reminders, escalation, over a lost Redis and killed services."""

import asyncio
import os
import signal

import httpx
import pytest

from shared.access.principals import digest, new_key
from shared.access.signing import from_secret, new_secret, public_half
from shared.blackboard import Sentinel
from tests.conftest import started
from tests.support.approvals import mails_to
from tests.support.swarm import follow, result_of, submit

PEOPLE = {
    "ada": ('["default"]', '["finance"]', "ada@firm.example"),
    "ada-again": ('["default"]', '["finance"]', "ada@firm.example"),
    "bob": ('["default"]', '["finance"]', "bob@firm.example"),
    "cleo": ('["default"]', '["heads"]', "cleo@firm.example"),
    "dan": ('["default"]', "[]", "dan@firm.example"),
    "eve": ('["other"]', '["finance"]', "eve@firm.example"),
}
GATE = """
[approvals]
separate = true

[[questions]]
tools = ["send_email"]
stages = [{ groups = ["finance"], needed = 2 }]
remind = 2
escalate_after = 3
escalate_to = ["heads"]
"""


class House:
    """The operator's two files, and the keys of all people."""

    def __init__(self, folder):
        self.api, self.secret = {name: new_key() for name in PEOPLE}, new_secret()
        entries = [
            f'[principals.{name}]\nsha256 = "{digest(self.api[name])}"\ntenants = {tenants}\n'
            f'roles = ["read", "submit", "decide"]\ngroups = {groups}\nperson = "{person}"\n'
            for name, (tenants, groups, person) in PEOPLE.items()
        ]
        service = f'[services.gateway]\ned25519 = "{public_half(from_secret(self.secret))}"\n'
        self.keys, self.gate = folder / "keys.toml", folder / "gate.toml"
        self.keys.write_text("\n".join([*entries, service]))
        self.gate.write_text(GATE)


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    return House(tmp_path_factory.mktemp("house"))


@pytest.fixture(scope="module")
async def swarm(own_kafka, model, house, tmp_path_factory):
    given = {"WAGGLE_KAFKA": own_kafka, "OPENAI_BASE_URL": f"{model}/v1", "OPENAI_API_KEY": "x"}
    given |= {"WAGGLE_KEYS": str(house.keys), "WAGGLE_GATE": str(house.gate), "WAGGLE_SIGNING_KEY": house.secret}
    services = ["gateway", "orchestrator", "timekeeper", "communication", "reviewer"]
    async with started(tmp_path_factory.mktemp("people"), os.environ | given, services) as stack:
        yield stack


@pytest.fixture
async def gateway(swarm):
    url = swarm.endpoints["WAGGLE_GATEWAY"]
    async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as client:
        yield client


class Desk:
    """The requests of one run, each by the person who is named."""

    def __init__(self, gateway, house) -> None:
        self.gateway, self.house, self.run, self.asked = gateway, house, "", {}

    def as_(self, name: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.house.api[name]}"}

    async def begin(self, to: list[str], by: str = "dan") -> None:
        self.gateway.headers = self.as_(by)
        objective = f"Write a short note on tides and mail it to {', '.join(to)}"
        budget = {"seconds": 600}
        self.run = await submit(self.gateway, objective, shape="single", agent="communication", budget=budget)
        async with asyncio.timeout(90):
            while not (view := (await self.view()))["questions"]:
                await asyncio.sleep(0.1)
        self.asked = view["questions"][0]["asked"]

    async def view(self) -> dict:
        for _ in range(100):
            answer = await self.gateway.get(f"/v1/runs/{self.run}")
            if answer.is_success:
                return answer.json()
            await asyncio.sleep(0.1)
        raise AssertionError(answer.text)

    async def decide(self, by: str, decision: str = "approve", **more) -> httpx.Response:
        body = {"request_id": self.asked["request_id"], "decision": decision, **more}
        return await self.gateway.post(f"/v1/runs/{self.run}/decisions", json=body, headers=self.as_(by))

    async def until(self, true) -> dict:
        async with asyncio.timeout(60):
            while not true(view := await self.view()):
                await asyncio.sleep(0.1)
        return view


@pytest.fixture
def desk(gateway, house):
    return Desk(gateway, house)


def votes(view: dict) -> list[str]:
    return [vote["by"] for each in view["questions"] for vote in each["votes"]]


async def flushed(swarm) -> None:
    """Empty Redis, and return when it is rebuilt."""
    sentinel = Sentinel(swarm.endpoints["WAGGLE_REDIS"])
    await sentinel.refresh()
    before = sentinel.generation
    await sentinel.own.flushall()
    async with asyncio.timeout(30):
        while not await sentinel.refresh() or sentinel.generation == before:
            await asyncio.sleep(0.1)
    await sentinel.close()


async def test_two_people_decide_over_a_lost_redis_and_killed_services(swarm, desk):
    to = [f"two{n}@example.org" for n in range(6)]
    await desk.begin(to)
    assert (await desk.decide("ada")).status_code == 202
    await desk.until(lambda view: votes(view) == ["ada"])
    await desk.until(lambda view: view["questions"][0]["reminded"] and "heads" in view["questions"][0]["groups"])
    await flushed(swarm)
    for service in ("orchestrator", "timekeeper"):
        child = next(each for each in swarm._children if each.name == service)
        os.kill(child.pid, signal.SIGKILL)
    view = await desk.until(lambda view: votes(view) == ["ada"])
    assert "heads" in view["questions"][0]["groups"]
    assert mails_to(swarm, to[0]) == []
    assert (await desk.decide("cleo")).status_code == 202
    result = await result_of(desk.gateway, desk.run)
    assert result["status"] == "complete"
    assert len(mails_to(swarm, to[0])) == 1
    events = await follow(desk.gateway, desk.run)
    (answered,) = [event for kind, event in events if kind == "waggle.help-answered.v1"]
    assert [each["by"] for each in answered["votes"]] == ["ada", "cleo"]
    assert any(kind == "waggle.question-reminded.v1" for kind, _ in events)


@pytest.mark.parametrize(
    ("requester", "by", "why"),
    [
        ("dan", "ada-again", "several keys of one person"),
        ("dan", "dan", "another group"),
        ("bob", "bob", "separation of duties"),
    ],
)
async def test_a_second_approval_by_the_wrong_person_is_refused(swarm, desk, requester, by, why):
    to = [f"wrong-{by}{n}@example.org" for n in range(6)]
    await desk.begin(to, requester)
    assert (await desk.decide("ada")).status_code == 202
    await desk.until(lambda view: votes(view) == ["ada"])
    refused = await desk.decide(by)
    assert (refused.status_code, why in refused.text) == (409, True), refused.text
    assert mails_to(swarm, to[0]) == []


async def test_neither_another_tenant_nor_a_late_nor_a_changed_decision_counts(swarm, desk):
    to = [f"late{n}@example.org" for n in range(6)]
    await desk.begin(to)
    assert (await desk.decide("eve")).status_code == 403
    assert (await desk.decide("ada", digest="0" * 64)).status_code == 409
    assert (await desk.decide("ada")).status_code == 202
    assert (await desk.decide("bob", "reject", answer="not to them")).status_code == 202
    await desk.until(lambda view: desk.asked["request_id"] not in str(view["questions"]))
    assert (await desk.decide("bob")).status_code == 409
    assert mails_to(swarm, to[0]) == []
