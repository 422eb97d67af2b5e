"""Feedback on ended runs over HTTP and by form, on a real broker and Redis."""

import pytest

from schemas.approval import Feedback
from tests.support.console import Visit, console_for
from tests.support.gateway_fixtures import apply, begin, cancel, error_of, records_of

HOSTILE = '<script>alert(1)</script> "wrong"'


async def ended(store) -> None:
    await begin(store, "run-f")
    await cancel(store, "default", "run-f")


async def test_feedback_is_published_to_its_run_and_shown_with_it_and_in_the_list(gateway, store, settings):
    await ended(store)
    sent = {"by": "ada", "solved": False, "score": 2, "comment": "The total is wrong."}
    answer = await gateway.post("/v1/runs/run-f/feedback", json=sent)
    assert answer.status_code == 202
    [record] = await records_of(settings, "control", 1)
    order = Feedback.read(record.value)
    assert (order.by, order.solved, order.score, record.key) == ("ada", False, 2, b"run-f")
    await apply(store, "run-f", order)
    [rating] = (await gateway.get("/v1/runs/run-f")).json()["ratings"]
    assert (rating["person"], rating["solved"], rating["comment"]) == ("ada", False, "The total is wrong.")
    [listed] = (await gateway.get("/v1/runs")).json()["runs"]
    assert listed["solved"] == "no"


async def test_an_unknown_run_and_a_run_at_work_refuse_feedback_and_say_why(gateway, store):
    given = {"by": "ada", "solved": True}
    assert error_of(await gateway.post("/v1/runs/run-unknown/feedback", json=given), 404)["code"] == "unknown_run"
    await begin(store, "run-f")
    error = error_of(await gateway.post("/v1/runs/run-f/feedback", json=given), 409)
    assert (error["code"], "has not ended" in error["message"]) == ("wrong_state", True)
    assert error_of(await gateway.post("/v1/runs/run-f/feedback?tenant=acme", json=given), 404)


@pytest.mark.parametrize("wrong", [{}, {"solved": True, "score": 6}, {"solved": True, "comment": "x" * 2_001}])
async def test_incomplete_and_too_long_feedback_is_refused(gateway, store, wrong):
    await ended(store)
    assert error_of(await gateway.post("/v1/runs/run-f/feedback", json={"by": "ada", **wrong}), 422)


async def test_the_form_on_the_page_of_a_run_sends_feedback_and_shows_a_comment_as_text(gateway, store, settings):
    await ended(store)
    async with console_for(settings, str(gateway.base_url)) as console:
        visit = Visit(console)
        answer = await visit.send("/runs/run-f/feedback", solved="no", score="1", comment=HOSTILE, by="ada")
        assert answer.status_code == 303
        [record] = await records_of(settings, "control", 1)
        order = Feedback.read(record.value)
        assert (order.solved, order.score, order.comment, order.by) == (False, 1, HOSTILE, "ada")
        await apply(store, "run-f", order)
        shown = (await visit.open("/runs/run-f?notice=rated")).text
        assert "The gateway accepted your feedback" in shown
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown
        assert "<script>alert" not in shown
        answer = await visit.send("/runs/run-f/feedback", solved="maybe", comment="kept in the form", by="ada")
        assert (answer.status_code, "neither yes nor no" in answer.text) == (422, True)
        assert "kept in the form" in answer.text
