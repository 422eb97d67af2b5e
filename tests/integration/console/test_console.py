"""The console in front of a real gateway, with sessions in a real Redis, over real HTTP."""

import json

import pytest

from schemas.approval import HumanDecided
from schemas.plan import Risk
from services.console.sessions import PREFIX
from shared.blackboard import RunStore
from tests.support.console import Keys, Visit, console_for, said, waits
from tests.support.gateway_fixtures import apply, begin, cancel, records_of, serving
from tests.support.questions import first_asked


@pytest.fixture
def store(sentinel) -> RunStore:
    return RunStore(sentinel, ttl=60)


@pytest.fixture
async def gateway(settings, topics, redis):
    async with serving(settings) as client:
        yield str(client.base_url)


@pytest.fixture
async def visit(settings, gateway):
    async with console_for(settings, gateway) as client:
        yield Visit(client)


@pytest.fixture
def keys(tmp_path):
    return Keys(tmp_path / "keys.toml")


@pytest.fixture
async def guarded(settings, topics, redis, keys):
    """A gateway that requires keys."""
    keys.add("ann", ["read", "decide", "operate"])
    keys.add("bob", ["decide"], ("acme",))
    keys.add("vic", ["viewer"])
    async with serving(settings, principals=keys.path) as client:
        yield str(client.base_url)


async def test_runs_are_listed_and_counted_by_state(visit, store):
    await begin(store, "run-a", "count the orders")
    await begin(store, "run-b", "write the report")
    await cancel(store, "default", "run-b")
    await waits(store, "run-c", "Send the mail?")
    page = (await visit.open("/runs")).text
    assert page.index("run-c") < page.index("run-b") < page.index("run-a")
    only = (await visit.open("/runs?state=CANCELLED")).text
    assert "run-b" in only
    assert "run-a" not in only
    overview = said((await visit.open("/")).text)
    assert "Ready : the gateway accepts" in overview
    assert "1 running 1 waiting for a person" in overview
    assert "Send the mail?" in overview


async def test_empty_lists_say_what_to_do(visit):
    for path, words in (("/", "There are no runs yet"), ("/runs", "waggle submit"), ("/inbox", "Nothing waits")):
        assert words in (await visit.open(path)).text


async def test_a_run_shows_its_state_plan_work_and_budget(visit, store):
    await waits(store, "run-a", "Send the mail?")
    page = said((await visit.open("/runs/run-a")).text)
    assert "does not seem to be running" not in page, "it waits for a person, not for an agent"
    await begin(store, "run-b", "count the orders")
    assert "Agent data does not seem to be running" in said((await visit.open("/runs/run-b")).text)
    for words in ("waiting human", "A person must decide", "of 400,000", "Timeline", "person", "communication", "asks"):
        assert words in page
    await cancel(store, "default", "run-a")
    ended = said((await visit.open("/runs/run-a")).text)
    assert "Result cancelled" in ended
    assert "Approve" not in ended


async def test_a_decision_in_the_inbox_reaches_the_run(visit, store, settings):
    run = await waits(store, "run-a")
    asked = first_asked(run)
    path = f"/runs/run-a/question?id={asked.request_id}"
    digest = asked.proposal.digest
    sent = await visit.send(
        path, form="/inbox", decision="approve", digest=digest, by="ann", message="go", then="inbox"
    )
    assert (sent.status_code, sent.headers["location"]) == (303, "/inbox?notice=approve")
    [record] = await records_of(settings, "decisions", 1)
    decided = HumanDecided.model_validate_json(record.value)
    assert (decided.by, decided.decision, decided.answer, decided.digest) == ("ann", "approve", "go", digest)


async def test_a_second_decision_shows_who_decided_what(visit, store, settings):
    run = await waits(store, "run-a")
    said_first = {"request_id": first_asked(run).request_id, "decision": "reject", "answer": "wrong person"}
    await apply(store, "run-a", HumanDecided(run_id="run-a", tenant="default", by="ann", **said_first))
    answer = await visit.send(f"/runs/run-a/question?id={first_asked(run).request_id}", decision="approve", by="bob")
    assert answer.status_code == 409
    page = said(answer.text)
    for words in ("Decided", "By ann", "reject", "wrong person"):
        assert words in page


async def test_a_decision_about_another_call_than_the_one_shown_is_refused(visit, store):
    run = await waits(store, "run-a")
    path = f"/runs/run-a/question?id={first_asked(run).request_id}"
    answer = await visit.send(path, decision="approve", by="ann", digest="e" * 64)
    assert answer.status_code == 409
    assert "another call" in answer.text


@pytest.mark.parametrize(("order", "topic"), [("pause", "control"), ("cancel", "control"), ("stop", "stops")])
async def test_an_order_reaches_its_topic(visit, store, settings, order, topic):
    await begin(store, "run-a")
    answer = await visit.send(f"/runs/run-a/orders/{order}", by="ann", reason="enough")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/runs/run-a?notice={order}")
    [record] = await records_of(settings, topic, 1)
    order = json.loads(record.value)
    assert (order["by"], order["reason"]) == ("ann", "enough")


async def test_a_refused_order_shows_the_gateways_suggestion(visit, store):
    await begin(store, "run-a")
    answer = await visit.send("/runs/run-a/orders/resume", by="ann")
    assert answer.status_code == 409
    assert "What to do" in answer.text


async def test_without_a_key_a_gateway_that_requires_one_leads_to_the_login(settings, guarded):
    async with console_for(settings, guarded) as client:
        answer = await Visit(client).open("/runs?state=FAILED")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?after=%2Fruns%3Fstate%3DFAILED")


async def test_a_login_shows_what_the_keys_roles_and_tenants_permit(settings, guarded, keys, store):
    await waits(store, "run-a", "Send the mail?", Risk.CRITICAL)
    async with console_for(settings, guarded) as client:
        visit = Visit(client)
        assert (await visit.log_in("wgl_wrong")).status_code == 401
        assert (await visit.log_in(keys.keys["ann"])).headers["location"] == "/"
        page = (await visit.open("/inbox")).text
        assert "critical risk" in page
        assert "Your name" not in page
    async with console_for(settings, guarded) as client:
        visit = Visit(client)
        await visit.log_in(keys.keys["bob"])
        refused = await visit.open("/runs?tenant=acme")
        assert refused.status_code == 403
        assert "What to do" in refused.text
        assert (await visit.open("/inbox")).status_code == 403
        assert (await visit.open("/inbox?tenant=acme")).status_code == 200
        assert "Nothing waits" in (await visit.open("/?tenant=acme")).text


async def test_a_key_that_may_only_decide_opens_the_question_and_its_run(settings, guarded, keys, store):
    run = await waits(store, "run-a", "Send the mail?", tenant="acme")
    await waits(store, "run-b", "Send the mail?")
    async with console_for(settings, guarded) as client:
        visit = Visit(client)
        await visit.log_in(keys.keys["bob"])
        path = f"/runs/run-a/question?id={first_asked(run).request_id}"
        for page in ("/inbox?tenant=acme", f"{path}&tenant=acme", "/runs/run-a?tenant=acme"):
            assert "Send the mail?" in said((await visit.open(page)).text)
        assert (await visit.open("/runs/run-b")).status_code == 403
        assert (await visit.open("/runs/run-b?tenant=acme")).status_code == 404
        sent = await visit.send(f"{path}&tenant=acme", form="/inbox?tenant=acme", decision="reject", message="no")
        assert sent.status_code == 303
    [record] = await records_of(settings, "decisions", 1)
    assert json.loads(record.value)["by"] == "bob"


async def test_a_viewer_sees_the_state_of_a_run_and_not_what_it_asks(settings, guarded, keys, store):
    await waits(store, "run-a", "Send 4711?", objective="count the orders")
    async with console_for(settings, guarded) as client:
        visit = Visit(client)
        await visit.log_in(keys.keys["vic"])
        assert "1 waiting for a person" in said((await visit.open("/")).text)
        for path in ("/", "/runs", "/runs/run-a"):
            page = said((await visit.open(path)).text)
            assert "4711" not in page
            assert path == "/" or "count the orders" in page
        assert (await visit.open("/inbox")).status_code == 403


async def test_a_decision_with_a_key_is_its_owners_and_not_that_of_the_name_in_the_form(settings, guarded, keys, store):
    run = await waits(store, "run-a")
    async with console_for(settings, guarded) as client:
        visit = Visit(client)
        await visit.log_in(keys.keys["ann"])
        path = f"/runs/run-a/question?id={first_asked(run).request_id}"
        assert (await visit.send(path, decision="approve", by="mallory", form="/inbox")).status_code == 303
    [record] = await records_of(settings, "decisions", 1)
    assert json.loads(record.value)["by"] == "ann"


async def test_two_consoles_share_sessions_and_redis_reveals_no_key(settings, guarded, keys, redis):
    async with console_for(settings, guarded) as one, console_for(settings, guarded) as other:
        await Visit(one).log_in(keys.keys["ann"])
        other.cookies.update(one.cookies)
        assert (await Visit(other).open("/runs")).status_code == 200
        [name] = [each async for each in redis.scan_iter(f"{PREFIX}*")]
        assert keys.keys["ann"] not in await redis.get(name)
        assert 0 < await redis.ttl(name) <= 28_800
        await Visit(one).send("/logout", form="/")
        assert (await Visit(other).open("/runs")).status_code == 303


async def test_a_gateway_that_is_gone_is_reported_and_the_console_stays_ready(settings, redis):
    async with console_for(settings, "http://127.0.0.1:9") as client:
        visit = Visit(client)
        answer = await visit.open("/runs")
        assert answer.status_code == 503
        assert "cannot be reached" in answer.text
        assert (await visit.open("/ready")).text == "ready"
        assert (await visit.open("/live")).text == "live"
        assert "process_cpu_seconds_total" in (await visit.open("/metrics")).text


async def test_without_redis_the_console_is_not_ready(settings, gateway):
    gone = settings.model_copy(update={"redis": "redis://127.0.0.1:9/0"})
    async with console_for(gone, gateway) as client:
        assert (await client.get("/ready")).status_code == 503
        client.cookies.set("waggle_console", "x" * 43)
        answer = await client.get("/runs")
        assert answer.status_code == 503
        assert "Redis" in answer.text
