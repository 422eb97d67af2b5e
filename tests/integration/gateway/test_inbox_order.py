"""Questions by risk, then age, over HTTP: at once after each change, page by page, and after Redis was lost."""

import asyncio

import pytest

from schemas.approval import HumanDecided
from schemas.plan import Risk
from shared.blackboard import Restorer, RunRecord, keys
from tests.support.console import waits
from tests.support.gateway_fixtures import apply

RISKS = [Risk.LOW, None, Risk.CRITICAL, Risk.HIGH, Risk.MEDIUM, Risk.HIGH, None, Risk.CRITICAL]
IN_ORDER = ["run-2", "run-7", "run-3", "run-5", "run-4", "run-1", "run-6", "run-0"]


@pytest.fixture
async def questions(store):
    return [await waits(store, f"run-{n}", f"Question {n}?", risk) for n, risk in enumerate(RISKS)]


async def page_of(gateway, **query) -> dict:
    answer = await gateway.get("/v1/approvals", params={"order": "risk", **query})
    assert answer.status_code == 200, answer.text
    return answer.json()


def runs_on(page: dict) -> list[str]:
    return [each["run_id"] for each in page["approvals"]]


async def test_the_riskiest_come_first_then_the_oldest_on_pages_with_their_number(gateway, questions):
    page, seen = await page_of(gateway, limit=3), []
    while True:
        assert (page["total"], page["before"]) == (8, len(seen))
        seen += runs_on(page)
        if page["next_cursor"] is None:
            break
        offset = await page_of(gateway, limit=3, offset=page["next_offset"] or len(seen))
        page = await page_of(gateway, limit=3, cursor=page["next_cursor"])
        assert runs_on(offset) == runs_on(page)
    assert seen == IN_ORDER


async def test_a_question_leaves_the_order_with_its_answer_and_a_cursor_at_it_stays_valid(gateway, store, questions):
    first = await page_of(gateway, limit=3)
    await apply(store, "run-3", answer_to(questions[3]), "default")
    after = await page_of(gateway, limit=2, cursor=first["next_cursor"])
    assert (runs_on(after), after["total"], after["before"]) == (["run-5", "run-4"], 7, 2)
    assert "run-3" not in runs_on(await page_of(gateway))


def answer_to(run) -> HumanDecided:
    [request_id] = run.questions
    digest = run.questions[request_id].asked.proposal.digest
    about = {"run_id": run.id, "tenant": run.tenant, "by": "ann"}
    return HumanDecided(**about, request_id=request_id, decision="reject", answer="no", digest=digest)


async def test_only_the_questions_of_some_runs_are_listed_if_these_are_named(gateway, questions):
    page = await page_of(gateway, run_id=["run-0", "run-5", "run-elsewhere"])
    assert (runs_on(page), page["total"]) == (["run-5", "run-0"], 2)


async def test_questions_of_another_tenant_are_in_no_page_nor_number(gateway, store, questions):
    await waits(store, "run-theirs", "Theirs?", Risk.CRITICAL, tenant="shop")
    page = await page_of(gateway)
    assert (runs_on(page), page["total"]) == (IN_ORDER, 8)
    assert (await page_of(gateway, run_id="run-theirs"))["approvals"] == []
    assert runs_on(await page_of(gateway, tenant="shop")) == ["run-theirs"]


async def test_a_rebuild_after_a_loss_has_the_same_questions_in_the_same_order(gateway, redis, store, questions):
    before = await page_of(gateway)
    records = []
    for run in questions:
        found = await store.load("default", run.id)
        records.append(RunRecord(found.run, found.version, ["m0"], [], {}))
    await redis.flushdb()
    restorer = Restorer(redis, "test", 60)
    assert await restorer.begin()
    await restorer.write_runs(records)
    await restorer.end()
    async with asyncio.timeout(30):
        while (answer := await gateway.get("/v1/approvals?order=risk")).status_code != 200:
            await asyncio.sleep(0.1)
    assert answer.json()["approvals"] == before["approvals"]


async def test_a_record_that_cannot_be_read_is_named_and_hides_no_other(gateway, redis, questions):
    await redis.hset(keys.run("default", "run-5"), "questions", "{}}")
    page = await page_of(gateway)
    assert [each["run_id"] for each in page["unreadable"]] == ["run-5"]
    assert runs_on(page) == [each for each in IN_ORDER if each != "run-5"]


async def test_a_place_of_a_question_that_its_record_does_not_have_is_not_shown(gateway, redis, store, questions):
    """As an earlier release leaves it, which answers a question and does not know of places."""
    await redis.zadd(keys.questions("default"), {"0 00000000000000001 run-0 run-0/help/9": 0, "0 1 run-gone x": 0})
    assert runs_on(await page_of(gateway)) == IN_ORDER


@pytest.mark.parametrize("cursor", ["x", "1:2:3", "0 1 run-0", "0 1 a b c", "0 1 a \u00e9"])
async def test_a_cursor_of_another_form_is_refused(gateway, cursor):
    answer = await gateway.get("/v1/approvals", params={"order": "risk", "cursor": cursor})
    assert answer.status_code == 422
