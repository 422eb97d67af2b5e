"""Ended runs that Redis no longer has are shown and listed as before, from the audit record."""

import pytest

from services.archivist.reading import read
from shared.audit.runs import runs_of
from shared.bus import encode
from tests.support.recording import emptied, raw
from tests.support.remembering import Logged, on_blackboard, single
from tests.support.run_world import START


def records(run: Logged, first: int = 0, epoch: int = 1) -> list:
    """The changes of a run, as the archivist reads them."""
    about = {"source": "/t", "prefix": "", "now": START, "key": run.run_id}
    changes = [each.model_copy(update={"epoch": epoch}) for each in run.changes]
    encoded = [encode(each, id=f"{run.run_id}/{each.number}", **about) for each in changes]
    return [read(raw(each, first + place, START), "") for place, each in enumerate(encoded)]


@pytest.fixture
async def record(parts):
    store = await emptied(parts["WAGGLE_POSTGRES"])
    yield store
    await store.close()


async def test_a_run_is_the_same_from_the_record_also_if_its_log_has_changes_twice(record):
    run = single("run-1", tenant="acme", session="s1", type="count")
    await record.append(records(run) + records(run, 100) + records(run, 200, epoch=2))
    found = (await runs_of(record, "acme", ["run-1", "run-2"]))["run-1"]
    assert found.version == len(run.changes)
    assert found.run.model_dump(exclude={"secret"}) == run.run.model_dump(exclude={"secret"})
    assert await runs_of(record, "other", ["run-1"]) == {}


async def test_an_ended_run_is_shown_and_listed_after_it_has_left_redis(gateway, sentinel, record):
    runs = [single(f"run-{n}", f"Count the orders of {n}", tenant="acme", agent="data") for n in range(3)]
    open_run = Logged(runs[0].task, run_id="run-open").start()
    query = {"tenant": "acme"}
    await on_blackboard(sentinel, runs[1])
    shown = (await gateway.get("/v1/runs/run-1", params=query)).json()
    result = (await gateway.get("/v1/runs/run-1/result", params=query)).json()
    for key in [each async for each in sentinel.own.scan_iter("*run-1*")]:
        await sentinel.own.delete(key)
    assert (await gateway.get("/v1/runs/run-1", params=query)).status_code == 404
    for place, run in enumerate([*runs, open_run]):
        await record.append(records(run, place * 100))
    assert (await gateway.get("/v1/runs/run-1", params=query)).json() == shown
    assert (await gateway.get("/v1/runs/run-1/result", params=query)).json() == result
    assert (await gateway.get("/v1/runs/run-open", params=query)).status_code == 404
    assert (await gateway.get("/v1/runs/run-1", params={"tenant": "other"})).status_code == 404
    listed, cursor = [], ""
    while cursor is not None:
        asked = query | {"recorded": "true", "limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await gateway.get("/v1/runs", params=asked)).json()
        listed += [row["run_id"] for row in page["runs"]]
        cursor = page["next_cursor"]
    assert sorted(listed) == ["run-0", "run-1", "run-2"]
    found = await gateway.get("/v1/runs", params=query | {"recorded": "true", "text": "orders 2", "state": "COMPLETE"})
    assert [row["run_id"] for row in found.json()["runs"]] == ["run-2"]
    assert (await gateway.get("/v1/runs", params=query | {"recorded": "true", "cursor": "x~1"})).status_code == 422
