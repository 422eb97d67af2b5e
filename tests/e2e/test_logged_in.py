"""People who log in at an identity provider decide a run's question in the console; the run and the audit name them."""

import asyncio
import os
import shutil
from dataclasses import dataclass
from types import SimpleNamespace

import httpx
import pytest

from infra.probe import free_port
from shared.access.principals import digest, new_key
from tests.conftest import started
from tests.support.approvals import mails_to
from tests.support.identity_provider import CLIENT, SECRET, Provider, log_in, providing
from tests.support.inbox import Replica
from tests.support.swarm import follow, result_of, submit

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed: apt-get install chromium"),
    pytest.mark.timeout(240),  # a swarm, a provider and two browsers are started
]

ANN, BOTH = "ann@example.com as approvers", "both@example.com as approvers"
TO = [f"logged-in{n}@example.org" for n in range(6)]
KEYS = {
    "dan": 'roles = ["submit", "read"]',
    "ann-key": 'roles = ["decide"]\ngroups = ["finance"]\nperson = "ann@example.com"',
    "ops": 'roles = ["operate"]',
}
GATE = """
[[questions]]
tools = ["send_email"]
stages = [{ groups = ["finance"], needed = 2 }]
"""


@dataclass
class House:
    """A swarm whose people log in, with the keys of those who do not."""

    provider: Provider
    keys: dict[str, str]
    stack: object
    console: str

    def bearer(self, name: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys[name]}"}


@pytest.fixture
async def house(own_kafka, model, tmp_path):
    port, keys = free_port(), {name: new_key() for name in KEYS}
    console = f"http://127.0.0.1:{port}"
    async with providing(f"{console}/login/callback") as provider:
        entries = [
            f'[principals.{name}]\nsha256 = "{digest(keys[name])}"\ntenants = ["acme"]\n{facts}'
            for name, facts in KEYS.items()
        ]
        (tmp_path / "keys.toml").write_text("\n".join([*entries, provider.rules()]))
        (tmp_path / "gate.toml").write_text(GATE)
        given = {"WAGGLE_KAFKA": own_kafka, "OPENAI_BASE_URL": f"{model}/v1", "OPENAI_API_KEY": "x"}
        given |= {"WAGGLE_KEYS": str(tmp_path / "keys.toml"), "WAGGLE_GATE": str(tmp_path / "gate.toml")}
        services = ["gateway", "orchestrator", "timekeeper", "communication", "reviewer"]
        async with started(tmp_path / "swarm", os.environ | given, services) as stack:
            own = {"WAGGLE_OIDC_ISSUER": provider.issuer, "WAGGLE_OIDC_CLIENT": CLIENT, "WAGGLE_OIDC_SECRET": SECRET}
            own |= {"WAGGLE_CONSOLE_URL": console, "WAGGLE_OIDC_SCOPES": "openid email"}
            replica = Replica("console", stack._environment | stack.endpoints | own, tmp_path / "console.log", port)
            try:
                await replica.start()
                yield House(provider, keys, stack, console)
            finally:
                await replica.kill()


@pytest.fixture
async def gateway(house):
    url = house.stack.endpoints["WAGGLE_GATEWAY"]
    async with httpx.AsyncClient(
        base_url=url, timeout=30, trust_env=False, headers=house.bearer("dan"), params={"tenant": "acme"}
    ) as client:
        yield client


@pytest.fixture
async def window():
    """Opens a browser of its own for each person, without JavaScript."""
    playwright = pytest.importorskip("playwright.async_api", reason="playwright is not installed")
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])

        async def window():
            return await (await browser.new_context(java_script_enabled=False)).new_page()

        yield window
        await browser.close()


async def until(gateway, run_id: str, true) -> dict:
    """The run, once it is as it should be."""
    async with asyncio.timeout(90):
        while not true(view := (await gateway.get(f"/v1/runs/{run_id}")).json()):
            await asyncio.sleep(0.1)
    return view


def votes(view: dict) -> list[str]:
    return [vote["by"] for each in view["questions"] for vote in each["votes"]]


async def test_a_logged_in_person_decides_and_the_run_and_the_audit_name_them(house, gateway, window):
    objective = f"Write a short note on tides and mail it to {', '.join(TO)}"
    run_id = await submit(gateway, objective, tenant="acme", shape="single", agent="communication")
    asked = (await until(gateway, run_id, lambda view: view.get("questions")))["questions"][0]["asked"]
    at = SimpleNamespace(run=f"{house.console}/runs/{run_id}", query="tenant=acme")

    viewer = await window()
    await log_in(viewer, f"{at.run}?{at.query}", "vic")
    await viewer.wait_for_url(f"**/runs/{run_id}?*")
    assert await viewer.locator("form.decide").count() == 0
    form = {"decision": "approve", "digest": asked["proposal"]["digest"]}
    form["form_token"] = await viewer.locator('input[name="form_token"]').first.get_attribute("value")
    address = f"{at.run}/question?id={asked['request_id']}&{at.query}"
    answer = await viewer.request.post(address, form=form)
    assert (answer.status, "needs the role decide" in await answer.text()) == (403, True)

    ann = await window()
    await log_in(ann, f"{house.console}/inbox?{at.query}", "ann")
    await ann.get_by_role("button", name="Approve", exact=True).click()
    await ann.wait_for_url("**notice=approve**")
    await until(gateway, run_id, lambda view: votes(view) == [ANN])
    body = {"request_id": asked["request_id"], "decision": "approve"}
    path = f"/v1/runs/{run_id}/decisions"
    again = await gateway.post(path, json=body, headers=house.bearer("ann-key"))
    assert (again.status_code, "several keys of one person" in again.text) == (409, True), again.text
    assert mails_to(house.stack, TO[0]) == []

    second = {"Authorization": f"Bearer {await house.provider.token('both')}"}
    assert (await gateway.post(path, json=body, headers=second)).status_code == 202
    assert (await result_of(gateway, run_id))["status"] == "complete"
    assert len(mails_to(house.stack, TO[0])) == 1
    [answered] = [event for kind, event in await follow(gateway, run_id) if kind == "waggle.help-answered.v1"]
    assert [each["by"] for each in answered["votes"]] == [ANN, BOTH]

    await ann.goto(f"{at.run}?{at.query}")
    assert ANN in await ann.locator("#run-timeline").inner_text()
    await ann.get_by_role("link", name="Turns with prompts").first.click()
    await ann.locator("table th a").first.click()
    audit = (await gateway.get("/v1/audit", headers=house.bearer("ops"))).json()["accesses"]
    assert (audit[0]["by"], audit[0]["kind"], audit[0]["run_id"]) == (ANN, "turn", run_id)
    assert not {each["by"] for each in audit} & {"ann-key", "console"}
