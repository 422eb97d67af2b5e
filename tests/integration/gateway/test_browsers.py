"""Requests of web pages at a running gateway: only its own hosts are believed, and no other origin changes a thing."""

import json

import pytest

from shared.access.principals import digest, new_key
from shared.blackboard import RunStore
from shared.blackboard.listing import RunIndex
from tests.support.gateway_fixtures import begin, error_of, serving

TASK = {"objective": "count"}
CHANGES = {
    "task": ("POST", "/v1/tasks", {"json": TASK}),
    "upload": ("POST", "/v1/files?name=a.txt", {"content": b"a", "headers": {"Content-Type": "text/plain"}}),
    "decision": ("POST", "/v1/runs/run-1/decisions", {"json": {"by": "x", "request_id": "r", "decision": "approve"}}),
    "stop": ("PUT", "/v1/stops/tenant:default", {"json": {"by": "x", "reason": "enough"}}),
    "start": ("DELETE", "/v1/stops/tenant:default", {}),
}
READS = ("/v1/runs", "/v1/agents", "/docs", "/openapi.json", "/metrics")

REBOUND = ("evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example", "[::2]", "[", "")
OTHERS = (
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "made-up"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://evil.example"},
    {"Origin": "http://evil.example"},
    {"Origin": "http://localhost:1"},
    {"Origin": "null"},
    {"Origin": "http://["},
)


@pytest.fixture
async def gateway(settings, topics, redis, sentinel):
    await begin(RunStore(sentinel, 60), "run-1")
    async with serving(settings) as client:
        yield client


def own(gateway) -> str:
    return f"{gateway.base_url.host}:{gateway.base_url.port}"


async def sent(client, change: str, **headers):
    method, path, given = CHANGES[change]
    return await client.request(method, path, **given | {"headers": given.get("headers", {}) | headers})


@pytest.mark.parametrize("host", REBOUND)
async def test_a_host_that_is_not_the_gateways_is_answered_nothing_without_keys(gateway, host):
    for path in READS:
        answer = await gateway.get(path, headers={"Host": host})
        assert answer.status_code in {400, 421}, (path, answer.text)
    for change in CHANGES:
        assert (await sent(gateway, change, Host=host)).status_code in {400, 421}
    error = error_of(await gateway.get("/v1/runs", headers={"Host": "evil.example"}), 421)
    assert "WAGGLE_ALLOWED_HOSTS" in error["suggested_action"]


async def test_loopback_its_own_address_and_hosts_that_are_set_are_the_gateways(settings, topics, redis):
    async with serving(settings, allowed_hosts=("Waggle.Example",)) as client:
        for host in ("localhost", "LOCALHOST:1", "127.0.0.1:8080", "[::1]:8080", own(client), "waggle.example:443"):
            assert (await client.get("/v1/runs", headers={"Host": host})).status_code == 200
    async with serving(settings, allowed_hosts=("*",)) as client:
        assert (await client.get("/v1/runs", headers={"Host": "evil.example"})).status_code == 200


@pytest.mark.parametrize("headers", OTHERS, ids=str)
@pytest.mark.parametrize("change", CHANGES)
async def test_a_page_of_another_origin_changes_nothing(gateway, change, headers):
    assert error_of(await sent(gateway, change, **headers), 403)["code"] == "cross_site"


async def test_the_gateways_own_pages_and_programs_may_change_things(gateway):
    for headers in (
        {},
        {"Sec-Fetch-Site": "same-origin", "Origin": f"http://{own(gateway)}"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": f"http://{own(gateway)}"},
    ):
        assert (await sent(gateway, "task", **headers)).status_code == 202
        assert (await sent(gateway, "upload", **headers)).status_code == 201
    assert (await gateway.get("/v1/runs", headers={"Sec-Fetch-Site": "cross-site"})).status_code == 200


async def test_probes_are_answered_by_any_name(gateway):
    for path in ("/live", "/ready"):
        assert (await gateway.get(path, headers={"Host": "10.0.0.7:8080"})).status_code == 200


async def test_a_refused_page_is_counted_by_its_reason(gateway):
    await gateway.get("/v1/runs", headers={"Host": "evil.example"})
    await sent(gateway, "upload", **{"Sec-Fetch-Site": "cross-site"})
    shown = (await gateway.get("/metrics")).text
    for reason in ("unknown_host", "cross_site"):
        assert f'waggle_gateway_refusals_total{{reason="{reason}"}} 1.0' in shown


async def test_with_keys_any_name_is_taken_and_no_page_of_another_origin(settings, topics, redis, tmp_path):
    key, path = new_key(), tmp_path / "keys.toml"
    path.write_text(
        f'[principals.ada]\nsha256 = {json.dumps(digest(key))}\ntenants = ["*"]\nroles = ["submit", "read"]\n'
    )
    with_key = {"Authorization": f"Bearer {key}"}
    async with serving(settings, principals=path) as client:
        named = {"Host": "waggle.example"} | with_key
        assert (await client.get("/v1/runs", headers=named)).status_code == 200
        error_of(await sent(client, "upload", **with_key, **{"Sec-Fetch-Site": "cross-site"}), 403)
    async with serving(settings, principals=path, allowed_hosts=("waggle.example",)) as client:
        error_of(await client.get("/v1/runs", headers={"Host": "evil.example"} | with_key), 421)


async def test_the_answer_to_an_unexpected_error_has_the_security_headers_too(gateway, monkeypatch):
    async def broken(*_):
        raise KeyError("defect")

    monkeypatch.setattr(RunIndex, "find", broken)
    answer = await gateway.get("/v1/runs")
    error_of(answer, 500)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
