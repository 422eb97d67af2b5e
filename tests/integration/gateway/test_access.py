"""Access at the gateway: every route, over real HTTP, with every kind of key."""

import asyncio
import json

import httpx
import pytest

from infra.probe import free_port
from schemas.approval import CancelRun
from schemas.event import State
from schemas.plan import AgentCard
from services.gateway import access, service
from services.gateway.access import NEEDS
from shared.access.principals import EVERY, Role, digest, new_key, with_included
from shared.blackboard import RunStore, announce
from tests.support.console import Keys, waits
from tests.support.gateway_fixtures import begin, error_of, records_of, sent_events, serving

RUN = "run-acme"
MEMORY = "0" * 32
ORDER = {"by": "somebody else", "reason": "enough"}
LETTERS = {"letters": {"timeout": 1}, "by": "somebody else", "reason": "old"}

REQUESTS = {
    "submit_task": ("POST", "/v1/tasks", {"json": {"objective": "count"}}),
    "upload_file": ("POST", "/v1/files", {"params": {"name": "a.txt"}, "content": b"a"}),
    "download_file": ("GET", f"/v1/files/{'0' * 64}", {}),
    "list_runs": ("GET", "/v1/runs", {}),
    "show_run": ("GET", f"/v1/runs/{RUN}", {}),
    "get_result": ("GET", f"/v1/runs/{RUN}/result", {}),
    "show_trace": ("GET", f"/v1/runs/{RUN}/trace", {}),
    "show_turn": ("GET", f"/v1/runs/{RUN}/steps/data/turns/1", {}),
    "show_journal": ("GET", f"/v1/runs/{RUN}/journal", {"params": {"handoff_id": f"{RUN}/data/0.0.1"}}),
    "follow_run": ("GET", f"/v1/runs/{RUN}/events", {}),
    "withdraw_answer": ("POST", f"/v1/runs/{RUN}/decisions/withdraw", {"json": {"by": "x", "request_id": "r"}}),
    "delegate_question": (
        "POST",
        f"/v1/runs/{RUN}/decisions/delegate",
        {"json": {"by": "x", "request_id": "r", "to": "y"}},
    ),
    "decide_for_run": (
        "POST",
        f"/v1/runs/{RUN}/decisions",
        {"json": {"by": "x", "request_id": "r", "decision": "approve"}},
    ),
    "carry_out_run": ("POST", f"/v1/runs/{RUN}/carry-out", {"json": {"by": "x", "digest": "0" * 64}}),
    "cancel_run": ("POST", f"/v1/runs/{RUN}/cancel", {"json": ORDER}),
    "give_feedback": ("POST", f"/v1/runs/{RUN}/feedback", {"json": {"by": "x", "solved": True}}),
    "say_to_run": ("POST", f"/v1/runs/{RUN}/messages", {"json": {"by": "x", "text": "more"}}),
    "pause_run": ("POST", f"/v1/runs/{RUN}/pause", {"json": ORDER}),
    "resume_run": ("POST", f"/v1/runs/{RUN}/resume", {"json": {"by": "x"}}),
    "act_on_runs": (
        "POST",
        "/v1/runs/batch",
        {"json": ORDER | {"action": "pause", "filter": {"state": "EXECUTING"}, "expected": 5}},
    ),
    "list_memories": ("GET", "/v1/memories", {}),
    "search_memories": ("GET", "/v1/memories/search", {"params": {"text": "Ada"}}),
    "show_memory": ("GET", f"/v1/memories/{MEMORY}", {}),
    "correct_memory": ("POST", f"/v1/memories/{MEMORY}/correct", {"json": ORDER | {"version": 1, "content": "x"}}),
    "pin_memory": ("POST", f"/v1/memories/{MEMORY}/pin", {"json": ORDER}),
    "unpin_memory": ("POST", f"/v1/memories/{MEMORY}/unpin", {"json": ORDER}),
    "confirm_memory": ("POST", f"/v1/memories/{MEMORY}/confirm", {"json": ORDER | {"version": 1}}),
    "forget_memory": ("POST", f"/v1/memories/{MEMORY}/forget", {"json": ORDER}),
    "forget_selection": ("POST", "/v1/memories/forget", {"json": ORDER | {"subject": "Ada", "dry_run": True}}),
    "list_forgettings": ("GET", "/v1/forgettings", {}),
    "show_forgetting": ("GET", "/v1/forgettings/forget/0/1", {}),
    "list_sessions": ("GET", "/v1/sessions", {}),
    "show_session": ("GET", "/v1/sessions/s", {}),
    "end_session": ("POST", "/v1/sessions/s/end", {"json": {"by": "x"}}),
    "list_approvals": ("GET", "/v1/approvals", {}),
    "list_turns": ("GET", f"/v1/runs/{RUN}/steps/data/turns", {}),
    "show_task": ("GET", f"/v1/runs/{RUN}/task", {}),
    "show_record": ("GET", f"/v1/runs/{RUN}/record", {}),
    "show_record_contents": ("GET", f"/v1/runs/{RUN}/record/contents", {}),
    "show_board": ("GET", f"/v1/runs/{RUN}/board", {}),
    "list_claims": ("GET", "/v1/claims", {}),
    "release_claim": ("POST", "/v1/claims/release", {"json": ORDER | {"resource": "customer 42"}}),
    "list_audit": ("GET", "/v1/audit", {}),
    "find_records": ("GET", "/v1/audit/records", {}),
    "export_records": ("GET", "/v1/audit/export", {}),
    "sum_costs": ("GET", "/v1/audit/cost", {}),
    "list_agents": ("GET", "/v1/agents", {}),
    "show_costs": ("GET", "/v1/costs", {}),
    "show_tenant_costs": ("GET", "/v1/costs/tenants", {}),
    "list_topics": ("GET", "/v1/topics", {}),
    "show_topic": ("GET", "/v1/topics/tasks", {}),
    "peek_records": ("GET", "/v1/topics/tasks/partitions/0/records", {}),
    "check_swarm": ("GET", "/v1/checks", {}),
    "count_runs": ("GET", "/v1/counts", {}),
    "skip_batch": ("POST", "/v1/topics/tasks/partitions/0/skip", {"json": ORDER | {"offset": 0}}),
    "list_stops": ("GET", "/v1/stops", {}),
    "stop": ("PUT", "/v1/stops/tenant:acme", {"json": ORDER}),
    "start": ("DELETE", "/v1/stops/tenant:acme", {}),
    "list_dead_letters": ("GET", "/v1/dead-letters", {}),
    "show_dead_letter": ("GET", "/v1/dead-letters/tasks.dlt/0/7", {}),
    "redrive_dead_letter": ("POST", "/v1/dead-letters/tasks.dlt/0/7/redrive", {"json": ORDER}),
    "edit_dead_letter": ("POST", "/v1/dead-letters/tasks.dlt/0/7/edit", {"json": ORDER | {"value": {}}}),
    "discard_dead_letter": ("POST", "/v1/dead-letters/tasks.dlt/0/7/discard", {"json": ORDER}),
    "redrive_dead_letters": ("POST", "/v1/dead-letters/redrive", {"json": {"by": "x", "letters": {}}}),
    "discard_dead_letters": ("POST", "/v1/dead-letters/discard", {"json": {"by": "x", "letters": {}, "reason": "old"}}),
}
"""A request that each route takes. A new route belongs in here, and in the gateway's table of what it needs."""

ALSO = {"edit_dead_letter": Role.CONTENTS}
"""A role that a route asks for besides those of the table."""

ACTING_OR_LISTING = (
    *("stop", "start", "submit_task", "upload_file"),
    *("list_runs", "list_sessions", "list_approvals", "list_audit", "list_claims", "act_on_runs", "show_costs"),
    *("count_runs", "list_memories", "search_memories", "forget_selection", "list_forgettings"),
    "find_records",
    "export_records",
    "sum_costs",
)
"""Routes that find nothing of their own tenant missing."""
OF_NO_TENANT = {"list_agents"}
"""Routes whose answer is the same for every tenant."""


class Keyring:
    """Keys, and the file that knows their hashes."""

    def __init__(self):
        self.keys, self.lines = {}, []

    def add(self, name: str, tenants, roles) -> dict[str, str]:
        if name not in self.keys:
            self.keys[name] = new_key()
            facts = f"tenants = {json.dumps(list(tenants))}\nroles = {json.dumps([str(each) for each in roles])}"
            self.lines.append(f'[principals."{name}"]\nsha256 = "{digest(self.keys[name])}"\n{facts}\n')
        return self[name]

    def __getitem__(self, name: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys[name]}"}


class Told:
    """A log that remembers."""

    def __init__(self):
        self.lines = []

    def warning(self, event: str, **facts) -> None:
        self.lines.append({"event": event} | facts)


@pytest.fixture(scope="module")
def ring():
    made = Keyring()
    for tenant in ("acme", "other"):
        for role in Role:
            made.add(f"{tenant}-{role}", [tenant], [role])
    for role in Role:
        made.add(f"all-{role}", [EVERY], [role])
    made.add("ada@example.com", ["acme"], list(Role))
    return made


@pytest.fixture
def closed(ring, tmp_path):
    path = tmp_path / "keys.toml"
    path.write_text("\n".join(ring.lines))
    return path


@pytest.fixture
async def gateway(settings, closed, topics, redis, sentinel):
    await announce(redis, AgentCard(name="data", description="tables"))
    await begin(RunStore(sentinel, 60), RUN, tenant="acme")
    async with serving(settings, principals=closed) as client:
        yield client


async def asked(client, route: str, key: dict[str, str] | None = None, tenant: str = "acme") -> httpx.Response:
    """The answer, without the rest of an endless stream."""
    method, path, given = REQUESTS[route]
    params = given.get("params", {}) | {"tenant": tenant}
    async with client.stream(method, path, **given | {"params": params}, headers=key or {}) as answer:
        if "event-stream" not in answer.headers.get("content-type", ""):
            await answer.aread()
        return answer


async def test_every_route_there_is_has_an_entry_in_both_tables(gateway):
    described = (await gateway.get("/openapi.json")).json()["paths"]
    routes = {each["operationId"] for path in described.values() for each in path.values()}
    assert routes == set(REQUESTS)
    assert routes == set(NEEDS) - {"show_metrics"}


@pytest.mark.parametrize("route", REQUESTS)
async def test_without_a_key_or_with_a_wrong_one_nothing_is_answered_but_what_to_do(gateway, route):
    for headers in (
        {},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer"},
        {"Authorization": f"Bearer {new_key()}"},
        {"Authorization": "Bearer ü".encode()},
    ):
        answer = await asked(gateway, route, headers)
        error = error_of(answer, 401)
        assert error["code"] == "unauthenticated"
        assert error["suggested_action"]
        assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("route", REQUESTS)
async def test_each_route_is_open_to_its_role_only(gateway, ring, route):
    whose = "all" if NEEDS[route].everywhere else "acme"
    for role in Role:
        answer = await asked(gateway, route, ring[f"{whose}-{role}"])
        held = {*with_included([role])}
        if NEEDS[route].roles & held and ALSO.get(route, role) in held:
            assert answer.status_code not in {401, 403, 422, 500}, (role, answer.status_code)
        else:
            error = error_of(answer, 403)
            assert error["code"] == "forbidden"
            assert "role" in error["message"]


@pytest.mark.parametrize("route", sorted(set(REQUESTS) - OF_NO_TENANT))
async def test_each_route_is_closed_to_the_same_role_of_another_tenant(gateway, ring, route):
    for role in NEEDS[route].roles:
        error = error_of(await asked(gateway, route, ring[f"other-{role}"]), 403)
        assert "may not act for" in error["message"]
        assert "other" in error["suggested_action"]
        if NEEDS[route].everywhere:
            error_of(await asked(gateway, route, ring[f"acme-{role}"]), 403)
        elif route not in ACTING_OR_LISTING:
            hidden = await asked(gateway, route, ring[f"other-{role}"], tenant="other")
            assert hidden.status_code == 404, "its own tenant has no such thing"


QUESTION = "Send 4711 to anna@firm.example?"


@pytest.mark.parametrize(
    ("roles", "question", "contents"),
    [
        (["viewer"], False, False),
        (["operator"], False, False),
        (["decide"], True, False),
        (["approver"], True, False),
        (["read"], True, True),
        (["viewer", "contents"], True, True),
        (["admin"], True, True),
    ],
)
async def test_states_are_shown_to_all_roles_for_people_and_contents_to_those_who_may_see_them(
    settings, topics, redis, sentinel, tmp_path, roles, question, contents
):
    keys = Keys(tmp_path / "keys.toml")
    bearer = {"Authorization": f"Bearer {keys.add('ann', roles, ('acme',))}"}
    await waits(RunStore(sentinel, 60), RUN, QUESTION, objective="count", tenant="acme")
    async with serving(settings, principals=keys.path) as gateway:
        run, trace = [await gateway.get(f"/v1/runs/{RUN}{part}?tenant=acme", headers=bearer) for part in ("", "/trace")]
        assert run.json()["state"] == State.WAITING_HUMAN
        assert (QUESTION in run.text, QUESTION in trace.text) == (question, question)
        stream = await followed(gateway, f"/v1/runs/{RUN}/events?tenant=acme", bearer, State.WAITING_HUMAN)
        assert (QUESTION in stream) == contents
        for route, permitted in (("list_approvals", question), ("get_result", question), ("show_journal", contents)):
            assert ((await asked(gateway, route, bearer)).status_code != 403) == permitted, route
        error_of(await gateway.get(f"/v1/runs/{RUN}?tenant=other", headers=bearer), 403)


async def followed(client, path: str, headers: dict[str, str], word: str) -> str:
    """The lines of a stream of events, up to the one with the word."""
    lines = []
    async with client.stream("GET", path, headers=headers) as answer, asyncio.timeout(10):
        async for line in answer.aiter_lines():
            lines.append(line)
            if word in line:
                return "\n".join(lines)
    raise AssertionError("the stream ended")


async def test_a_task_cannot_name_a_tenant_in_its_body_that_its_sender_may_not_act_for(gateway, ring):
    body = {"objective": "count", "tenant": "acme"}
    error_of(await gateway.post("/v1/tasks", json=body, headers=ring["other-submit"]), 403)
    assert (await gateway.post("/v1/tasks", json=body, headers=ring["acme-submit"])).status_code == 202
    twice = "/v1/runs?tenant=other&tenant=acme"
    error_of(await gateway.get(twice, headers=ring["other-read"]), 403)
    error_of(await gateway.get("/v1/runs", headers=ring["acme-read"]), 403)


@pytest.mark.parametrize("scope", ["all", "agent:data", f"run:{RUN}", "tenant:other"])
async def test_stops_that_affect_other_tenants_need_an_operator_of_all_tenants(gateway, ring, scope):
    error_of(await gateway.put(f"/v1/stops/{scope}", json=ORDER, headers=ring["acme-operate"]), 403)
    error_of(await gateway.delete(f"/v1/stops/{scope}", headers=ring["acme-operate"]), 403)
    assert (await gateway.put(f"/v1/stops/{scope}", json=ORDER, headers=ring["all-operate"])).status_code == 202


async def test_the_author_of_an_order_is_the_owner_of_the_key_and_not_a_name_in_the_body(gateway, ring, settings):
    for body in (ORDER, {"reason": "enough"}):
        answer = await gateway.post(
            f"/v1/runs/{RUN}/cancel", params={"tenant": "acme"}, json=body, headers=ring["ada@example.com"]
        )
        assert answer.status_code == 202
    for record in await records_of(settings, "control", 2):
        assert CancelRun.read(record.value).by == "ada@example.com"
    stopped = await gateway.put("/v1/stops/tenant:acme", json=ORDER, headers=ring["ada@example.com"])
    assert stopped.json()["by"] == "ada@example.com"


async def test_a_run_can_be_followed_with_a_key(gateway, ring, sentinel):
    async with gateway.stream("GET", f"/v1/runs/{RUN}/events?tenant=acme", headers=ring["acme-read"]) as answer:
        assert answer.status_code == 200
        async for line in answer.aiter_lines():
            if line.startswith("data"):
                break
    assert sent_events(f"event: x\n{line}")


async def test_probes_and_the_api_description_need_no_key_and_everything_else_does(gateway):
    for path in ("/live", "/ready", "/docs", "/openapi.json"):
        assert (await gateway.get(path)).status_code == 200
    for path in ("/", "/metrics", "/v1", "/nothing", "//v1/runs", "/openapi.json/../v1/runs"):
        error_of(await gateway.get(path), 401)


async def test_metrics_are_for_operators_of_all_tenants_where_they_have_no_port_of_their_own(gateway, ring):
    error_of(await gateway.get("/metrics", headers=ring["acme-operate"]), 403)
    shown = await gateway.get("/metrics", headers=ring["all-operate"])
    assert 'waggle_gateway_refusals_total{reason="tenant"} 1.0' in shown.text


async def test_metrics_have_a_port_of_their_own_where_one_is_named(settings, closed, topics, redis, ring):
    port = free_port()
    async with serving(settings, principals=closed, metrics_port=port) as client:
        error_of(await client.get("/metrics", headers=ring["all-operate"]), 404)
        async with httpx.AsyncClient(trust_env=False) as scraper:
            found = await scraper.get(f"http://127.0.0.1:{port}/metrics")
    assert "waggle_blackboard_whole" in found.text


async def test_refusals_are_counted_and_logged_without_the_key_and_without_flooding_the_log(gateway, ring, monkeypatch):
    told = Told()
    monkeypatch.setattr(access, "log", told)
    wrong = new_key()
    for _ in range(20):
        await gateway.get("/v1/runs", headers={"Authorization": f"Bearer {wrong}"})
    shown = (await gateway.get("/metrics", headers=ring["all-operate"])).text
    assert 'waggle_gateway_refusals_total{reason="unknown_key"} 20.0' in shown
    assert {line["reason"] for line in told.lines} == {"unknown_key"}
    assert 1 <= len(told.lines) < 5
    assert not any(key in str(told.lines) for key in (wrong, *ring.keys.values()))


async def test_the_body_of_a_request_without_a_key_is_never_awaited(gateway):
    reader, writer = await asyncio.open_connection(gateway.base_url.host, gateway.base_url.port)
    writer.write(b"POST /v1/files?name=a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n")
    async with asyncio.timeout(5):
        assert b" 401 " in await reader.readline()
    writer.close()


async def test_an_old_key_works_alongside_the_new_one_until_it_is_removed(settings, topics, redis, tmp_path):
    old, new = new_key(), new_key()
    path = tmp_path / "keys.toml"
    hashes = json.dumps([digest(old), digest(new)])
    path.write_text(f'[principals.ada]\nsha256 = {hashes}\ntenants = ["*"]\nroles = ["read"]\n')
    async with serving(settings, principals=path) as client:
        for key in (old, new):
            assert (await client.get("/v1/runs", headers={"Authorization": f"bearer {key}"})).status_code == 200


async def test_without_a_file_every_caller_is_admitted_and_the_log_warns_of_it(
    settings, topics, redis, sentinel, monkeypatch
):
    told = Told()
    monkeypatch.setattr(service, "log", told)
    await begin(RunStore(sentinel, 60), RUN, tenant="acme")
    async with serving(settings) as client:
        for route in ("list_agents", "list_runs", "show_run", "list_stops"):
            assert (await asked(client, route)).status_code == 200
        assert (await client.get("/metrics")).status_code == 200
        unsigned = await client.post(f"/v1/runs/{RUN}/cancel?tenant=acme", json={"reason": "enough"})
        assert "by" in error_of(unsigned, 422)["message"]
        assert (await client.get(f"/v1/runs/{RUN}?tenant=acme")).json()["state"] == State.EXECUTING
    assert "access_unrestricted" in str(told.lines)
