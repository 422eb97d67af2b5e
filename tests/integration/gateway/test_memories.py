"""Memories over real HTTP, with a real Postgres, Redis and broker: looked at, searched, changed and forgotten."""

import asyncio
import json

import pytest

from schemas.memory import Memory, MemoryKind
from schemas.memory_log import MemoryKept
from services.gateway.errors import unavailable
from shared.access.principals import Role
from shared.memory import MemoryStore
from tests.integration.gateway.test_access import Keyring
from tests.support.gateway_fixtures import begin, error_of, records_of, serving
from tests.support.memories import memory
from tests.support.remembering import emptied, remembering, until

pytestmark = pytest.mark.broker

HOSTILE = "<script>alert(1)</script>'; DROP TABLE memories; --\x1b[31m \u202e"
FACT = {"kind": MemoryKind.SEMANTIC}
ADA = memory("Ada prefers reports by mail", 1, "default", subject="Ada", run="run-a", session="trip", **FACT)
CLAIM = memory("Ada's bank is Evil", 2, "default", subject="Ada", taint=["page:evil.example"], days=2, **FACT)
LATE = memory("the import of orders was late", 3, "default", run="run-b", days=3)
ELSEWHERE = memory("Ada of another tenant prefers calls", 1, "other", subject="Ada", run="run-a", session="trip")
BY = {"by": "bob"}


@pytest.fixture
async def memories(parts):
    store = await emptied(parts["WAGGLE_POSTGRES"])
    await store.put("default", [ADA, CLAIM, LATE])
    await store.put("other", [ELSEWHERE])
    yield store
    await store.close()


@pytest.fixture
async def followed(settings, topics, sentinel, memories: MemoryStore):
    """The store, kept up to date by the service."""
    async with remembering(settings, sentinel):
        yield memories


def contents(answer) -> list[str]:
    return [each["memory"]["content"] for each in answer.json()["memories"]]


async def get(gateway, path: str, **params):
    return await gateway.get(f"/v1/memories{path}", params=params)


async def post(gateway, path: str, tenant: str = "default", **order):
    return await gateway.post(f"/v1/memories/{path}", params={"tenant": tenant}, json=BY | order)


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, [ADA, CLAIM, LATE]),
        ({"kind": "semantic"}, [ADA, CLAIM]),
        ({"subject": "Ada", "session": "trip"}, [ADA]),
        ({"run": "run-b"}, [LATE]),
        ({"tainted": "true"}, [CLAIM]),
        ({"candidate": "true"}, [CLAIM]),
        ({"pinned": "true"}, []),
        ({"text": "late order"}, [LATE]),
        ({"text": "' OR 1=1 --"}, []),
        ({"subject": "' OR ''='"}, []),
        ({"tenant": "other"}, [ELSEWHERE]),
    ],
)
async def test_memories_are_listed_by_filters(gateway, memories, filters, found):
    assert contents(await get(gateway, "", **filters)) == [each.content for each in found]


async def test_a_list_comes_in_pages_and_an_empty_one_says_whether_there_is_any(gateway, memories):
    first = await get(gateway, "", limit=2)
    rest = await get(gateway, "", limit=2, cursor=first.json()["next_cursor"])
    assert contents(first) + contents(rest) == [each.content for each in (ADA, CLAIM, LATE)]
    assert rest.json()["next_cursor"] is None
    assert (await get(gateway, "", subject="Bo")).json()["empty"] is False
    assert (await get(gateway, "", tenant="nobody")).json()["empty"] is True
    for cursor in ("2026-99-99T00:00:00+00:00~" + "0" * 32, "x~' OR 1=1", "2026-11-30T00:00:00.000~" + "0" * 32):
        error_of(await get(gateway, "", cursor=cursor), 422)


async def test_a_memory_is_shown_with_its_sources_uses_and_importance(gateway, memories):
    await memories.used("default", [ADA.id], ADA.created)
    shown = (await get(gateway, f"/{ADA.id}")).json()
    assert (shown["state"], shown["standing"], shown["uses"]) == ("kept", "fresh", 1)
    [source] = shown["sources"]
    assert source["link"] == "/v1/topics/runs.log/partitions/0/records?before=2&limit=1"
    assert shown["run_link"] == "/v1/runs/run-a?tenant=default"
    assert "0.50" in shown["importance_reason"]
    assert (await get(gateway, f"/{CLAIM.id}")).json()["state"] == "candidate"


async def test_a_search_recalls_as_agents_do_with_scores_and_reasons_and_without_candidates(gateway, memories):
    answer = (await get(gateway, "/search", text="how does Ada like reports?")).json()
    assert [each["view"]["memory"]["content"] for each in answer["found"]] == [ADA.content]
    [found] = answer["found"]
    assert found["score"] > 0
    assert {"text"} == set(found["found_by"])
    assert "is about Ada" in found["reasons"]
    assert any(each == "shares the words: ada, reports" for each in found["reasons"])
    error_of(await get(gateway, "/search", text=" "), 422)
    assert (await get(gateway, "/search", text="'; DROP TABLE memories; --")).json()["found"] == []
    assert (await get(gateway, "", text="late")).json()["memories"]


async def test_a_search_counts_meaning_where_the_gateway_has_the_model_and_says_when_it_has_none(
    settings, topics, sentinel, memories, monkeypatch, tmp_path
):
    class Near:
        """A model to which every text means the same."""

        name = "m"

        async def embed(self, texts):
            return [[1.0, 0.0] for _ in texts]

    await memories.embed("default", "m", {LATE.id: [1.0, 0.0]})
    with_folder = settings.model_copy(update={"memory_model": tmp_path})
    async with serving(with_folder) as client:
        answer = (await get(client, "/search", text="xylophone")).json()
        assert (answer["by_meaning"], answer["found"]) == (False, []), "the folder is empty"
        monkeypatch.setattr("services.gateway.memory_search.local_embedder", lambda _: Near())
        answer = (await get(client, "/search", text="xylophone")).json()
    assert [each["found_by"] for each in answer["found"]] == [["vector"]]
    assert answer["by_meaning"] is True
    assert "is near in meaning" in answer["found"][0]["reasons"]


async def test_a_correction_is_logged_with_its_author_and_read_at_once(gateway, followed, settings):
    changed = (
        await post(gateway, f"{ADA.id}/correct", version=1, content="Ada prefers calls", reason="she told me")
    ).json()
    assert changed["in_effect"] is True
    assert changed["before"]["content"] == ADA.content
    shown = (await get(gateway, f"/{ADA.id}")).json()["memory"]
    assert (shown["content"], shown["version"], shown["confirmed_by"]) == ("Ada prefers calls", 2, "bob")
    assert (ADA.importance, shown["importance"]) == (0.5, 1.0), "a person's word counts most"
    [change] = shown["changes"]
    assert (change["kind"], change["by"], change["reason"], change["version"]) == ("corrected", "bob", "she told me", 2)
    [record] = await records_of(settings, "memories", 1)
    kept = MemoryKept.model_validate_json(record.value)
    assert (kept.by, kept.memory.version, record.key.decode()) == ("bob", 2, ADA.id)
    back = await post(gateway, f"{ADA.id}/correct", version=2, content=changed["before"]["content"])
    assert back.json()["memory"]["memory"]["content"] == ADA.content


async def test_a_correction_of_another_version_than_the_present_is_refused(gateway, followed):
    await post(gateway, f"{ADA.id}/correct", version=1, content="Ada prefers calls")
    error = error_of(await post(gateway, f"{ADA.id}/correct", version=1, content="Ada prefers fax"), 409)
    assert error["code"] == "memory_changed"
    assert "version 2" in error["message"]
    repeated = await post(gateway, f"{ADA.id}/correct", version=1, content="Ada prefers calls")
    assert (repeated.status_code, repeated.json()["memory"]["memory"]["version"]) == (200, 2)
    assert repeated.json()["before"] is None
    error_of(await post(gateway, f"{ADA.id}/correct", version=2), 422)
    error_of(await post(gateway, f"{ADA.id}/correct", version=2, importance=7), 422)


@pytest.mark.parametrize(("code", "blocked"), [("outcome_unknown", True), ("kafka_unavailable", False)])
async def test_a_version_that_may_be_logged_is_given_to_no_other_change(gateway, memories, monkeypatch, code, blocked):
    async def failing(*_, **__):
        raise unavailable(code, "Kafka did not answer")

    with monkeypatch.context() as broken:
        broken.setattr("services.gateway.memory_changes.deliver", failing)
        assert error_of(await post(gateway, f"{ADA.id}/pin"), 503)["code"] == code
    monkeypatch.setattr("services.gateway.memory_changes.WITHIN", 0.1)
    answer = await post(gateway, f"{ADA.id}/correct", version=1, content="x")
    assert answer.status_code == (409 if blocked else 202)


async def test_of_concurrent_corrections_of_one_version_one_takes_effect(gateway, followed, settings):
    orders = [post(gateway, f"{ADA.id}/correct", version=1, content=f"Ada prefers {each}") for each in range(6)]
    answers = await asyncio.gather(*orders)
    assert sorted(each.status_code for each in answers) == [200] + [409] * 5
    [won] = [each.json()["memory"]["memory"]["content"] for each in answers if each.status_code == 200]
    assert (await get(gateway, f"/{ADA.id}")).json()["memory"]["content"] == won


async def test_a_change_that_is_not_yet_visible_is_accepted_and_blocks_another_version(
    gateway, topics, sentinel, memories, settings, monkeypatch
):
    monkeypatch.setattr("services.gateway.memory_changes.WITHIN", 0.1)
    accepted = await post(gateway, f"{ADA.id}/pin")
    assert (accepted.status_code, accepted.json()["in_effect"]) == (202, False)
    error = error_of(await post(gateway, f"{ADA.id}/correct", version=1, content="x"), 409)
    assert (error["code"], error["retryable"]) == ("not_in_effect", True)
    async with remembering(settings, sentinel) as service:
        await until(lambda: service.counted("kept"))
        monkeypatch.setattr("services.gateway.memory_changes.WITHIN", 3.0)
        assert (await post(gateway, f"{ADA.id}/correct", version=2, content="x")).status_code == 200


async def test_a_memory_is_pinned_and_unpinned_and_a_repeated_request_changes_nothing(gateway, followed):
    for verb, pinned in (("pin", True), ("pin", True), ("unpin", False)):
        changed = (await post(gateway, f"{LATE.id}/{verb}", reason="matters")).json()
        assert changed["memory"]["memory"]["pinned"] is pinned
    assert changed["memory"]["memory"]["version"] == 3
    assert [each["kind"] for each in changed["memory"]["memory"]["changes"]] == ["pinned", "unpinned"]


async def test_a_confirmed_candidate_becomes_a_fact_that_is_recalled(gateway, followed):
    assert (await get(gateway, "/search", text="bank")).json()["found"] == []
    error_of(await post(gateway, f"{CLAIM.id}/confirm"), 422)
    changed = (await post(gateway, f"{CLAIM.id}/confirm", version=1, reason="I called them")).json()["memory"]
    assert (changed["state"], changed["memory"]["taint"], changed["memory"]["confirmed_by"]) == ("kept", [], "bob")
    assert [each["view"]["memory"]["id"] for each in (await get(gateway, "/search", text="bank")).json()["found"]] == [
        CLAIM.id
    ]
    repeated = (await post(gateway, f"{CLAIM.id}/confirm", version=1)).json()
    assert repeated["memory"]["memory"]["version"] == 2


@pytest.mark.parametrize(
    "order",
    [
        {"importance": 0.9},
        {"subject": "Bob"},
        {"valid_until": "2030-01-01T00:00:00Z"},
        {"content": CLAIM.content, "importance": 0.9},
    ],
)
async def test_a_correction_that_leaves_the_content_vouches_for_nothing(gateway, followed, order):
    changed = (await post(gateway, f"{CLAIM.id}/correct", version=1, **order)).json()["memory"]
    kept = Memory.model_validate(changed["memory"])
    assert (changed["state"], kept.version, kept.taint, kept.confirmed) == ("candidate", 2, CLAIM.taint, None)
    corrected = (await post(gateway, f"{CLAIM.id}/correct", version=2, content="Ada's bank is Good")).json()["memory"]
    assert (corrected["state"], corrected["memory"]["taint"]) == ("kept", [])


async def test_a_memory_is_forgotten_with_a_reason_and_is_unknown_from_then_on(gateway, followed):
    error_of(await post(gateway, f"{LATE.id}/forget"), 422)
    error_of(await post(gateway, f"{LATE.id}/forget", reason="wrong", version=4), 409)
    assert (await post(gateway, f"{LATE.id}/forget", reason="wrong", version=1)).json()["in_effect"] is True
    for answer in (
        await get(gateway, f"/{LATE.id}"),
        await post(gateway, f"{LATE.id}/forget", reason="wrong"),
        await post(gateway, f"{LATE.id}/pin"),
    ):
        assert error_of(answer, 404)["code"] == "unknown_memory"


async def test_a_selection_is_counted_first_and_then_forgotten_up_to_its_time(gateway, followed, store):
    await begin(store, "run-a", "write to Ada", session="trip")
    dry = (await post(gateway, "forget", subject="Ada", dry_run=True)).json()
    assert (dry["memories"], dry["candidates"], dry["runs"], dry["ordered"]) == (2, 1, 1, None)
    assert len(contents(await get(gateway, ""))) == 3
    error = error_of(await post(gateway, "forget", subject="Ada", expected=1, reason="asked to"), 409)
    assert error["code"] == "more_than_expected"
    answer = await post(gateway, "forget", subject="Ada", expected=2, reason="asked to")
    assert (answer.status_code, answer.json()["in_effect"]) == (202, True)
    assert contents(await get(gateway, "")) == [LATE.content]
    assert contents(await get(gateway, "", tenant="other")) == [ELSEWHERE.content]


async def test_an_order_to_forget_has_a_report_that_its_tenant_alone_sees_and_that_names_no_subject(gateway, followed):
    await post(gateway, "forget", subject="Ada", expected=2, reason="asked to")
    others = (await gateway.get("/v1/forgettings", params={"tenant": "other"})).json()["forgettings"]
    assert all(each["tenant"] == "other" for each in others)
    listed, *_ = (await gateway.get("/v1/forgettings")).json()["forgettings"]
    assert (listed["kind"], listed["by"], "Ada" in json.dumps(listed)) == ("subject", "bob", False)
    path = f"/v1/forgettings/{listed['id']}"
    assert (await gateway.get(path)).json() == listed
    for answer in (await gateway.get(path, params={"tenant": "other"}), await gateway.get("/v1/forgettings/x")):
        assert error_of(answer, 404)["code"] == "unknown_forgetting"


@pytest.mark.parametrize(
    "order",
    [
        {},
        {"subject": "Ada", "run": "run-a"},
        {"everything": False},
        {"subject": ""},
        {"subject": "Ada", "dry_run": False, "expected": 2},
        {"subject": "Ada", "dry_run": False, "reason": "asked to"},
    ],
)
async def test_an_order_to_forget_without_one_selection_a_count_and_a_reason_is_refused(gateway, memories, order):
    error_of(await post(gateway, "forget", **({"dry_run": True} | order)), 422)
    assert len(contents(await get(gateway, ""))) == 3


async def test_everything_of_a_tenant_is_forgotten_and_nothing_of_another(gateway, followed):
    reached = (await post(gateway, "forget", everything=True, dry_run=True)).json()
    assert reached["memories"] == 3
    await post(gateway, "forget", everything=True, expected=3, reason="the contract ended")
    assert (await get(gateway, "")).json()["empty"] is True
    assert contents(await get(gateway, "", tenant="other")) == [ELSEWHERE.content]


async def test_a_tenant_neither_sees_nor_changes_a_memory_of_another_by_its_id(gateway, followed):
    error_of(await get(gateway, f"/{ADA.id}", tenant="other"), 404)
    for verb, order in (
        ("correct", {"version": 1, "content": "x"}),
        ("confirm", {"version": 1}),
        ("pin", {}),
        ("unpin", {}),
        ("forget", {"reason": "x"}),
    ):
        assert error_of(await post(gateway, f"{ADA.id}/{verb}", "other", **order), 404)["code"] == "unknown_memory"
    assert (await get(gateway, f"/{ADA.id}")).json()["memory"] == ADA.model_dump(mode="json")


@pytest.mark.parametrize("id", ["x", "0" * 31, "0" * 33, "%27%20OR%201=1", "G" * 32, "..%2F..%2Fruns"])
async def test_a_malformed_id_is_refused(gateway, memories, id):
    assert (await get(gateway, f"/{id}")).status_code in {404, 422}


async def test_hostile_text_is_stored_and_shown_as_text(gateway, followed):
    changed = await post(gateway, f"{ADA.id}/correct", version=1, content=HOSTILE, subject=HOSTILE, reason=HOSTILE)
    assert changed.json()["memory"]["memory"]["content"] == HOSTILE
    assert len(contents(await get(gateway, ""))) == 3
    assert contents(await get(gateway, "", subject=HOSTILE)) == [HOSTILE]


async def test_roles_decide_who_sees_contents_who_changes_and_who_forgets(
    settings, topics, sentinel, memories, tmp_path
):
    ring, path = Keyring(), tmp_path / "keys.toml"
    for role in Role:
        ring.add(role.value, ["default"], [role])
    path.write_text("".join(ring.lines))
    async with serving(settings, principals=path) as client, remembering(settings, sentinel):

        async def status(role: str, method: str, path: str, tenant: str = "default", **order):
            about = {"params": {"tenant": tenant}, "headers": ring[role]} | ({"json": order} if order else {})
            return (await client.request(method, f"/v1/memories{path}", **about)).status_code

        listed = (await client.get("/v1/memories", headers=ring["viewer"])).json()
        for secret in ("reports", "Ada", "evil.example"):
            assert secret not in json.dumps(listed)
        assert all(each["withheld"] for each in listed["memories"])
        for query in ({"text": "reports"}, {"subject": "Ada"}):
            denied = await client.get("/v1/memories", params=query, headers=ring["viewer"])
            assert denied.status_code == 403
        for path in (f"/{ADA.id}", "/search?text=Ada"):
            assert await status("operator", "GET", path) == 403
        assert await status("read", "GET", f"/{ADA.id}") == 200
        for role in ("read", "submit", "operate", "approver", "forget"):
            assert await status(role, "POST", f"/{ADA.id}/correct", version=1, content="x") == 403
        assert await status("curate", "POST", f"/{ADA.id}/correct", version=1, content="x") == 200
        assert await status("curate", "POST", "/forget", subject="Ada", dry_run=True) == 403
        assert await status("forget", "POST", "/forget", subject="Ada", dry_run=True) == 200
        assert await status("admin", "POST", "/forget", subject="Ada", dry_run=True) == 200
        for role, method, where in (("admin", "GET", f"/{ELSEWHERE.id}"), ("admin", "POST", "/forget")):
            assert await status(role, method, where, "other", subject="Ada", dry_run=True) == 403
        accesses = (await client.get("/v1/audit", headers=ring["admin"])).json()["accesses"]
        assert ("read", "memory", ADA.id) in [(each["by"], each["kind"], each["what"]) for each in accesses]
        assert (
            "by"
            in (shown := (await client.get(f"/v1/memories/{ADA.id}", headers=ring["read"])).json())["memory"][
                "changes"
            ][0]
        )
        assert shown["memory"]["changes"][0]["by"] == "curate", "the owner of the key is the author"


async def test_searches_and_changes_of_a_tenant_have_rates(gateway, memories, monkeypatch):
    monkeypatch.setattr("services.gateway.routes.memories.SEARCHES_PER_MINUTE", 20)
    answers = [await get(gateway, "/search", text="Ada") for _ in range(3)]
    assert [each.status_code for each in answers] == [200, 200, 429]
    assert (await get(gateway, "/search", text="Ada", tenant="other")).status_code == 200


async def test_without_postgres_the_answer_says_so(settings, topics, sentinel):
    away = settings.model_copy(update={"postgres": "postgresql://waggle@127.0.0.1:9/none"})
    async with serving(away) as client:
        error = error_of(await client.get("/v1/memories"), 503)
        assert (error["code"], error["retryable"]) == ("archive_unavailable", True)


def test_a_memory_of_an_earlier_version_is_read_without_changes():
    earlier = ADA.model_dump(mode="json", exclude={"changes", "confirmed", "confirmed_by", "candidate"})
    assert Memory.model_validate(earlier) == ADA
