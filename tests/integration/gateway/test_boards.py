"""Boards and claims over HTTP and from the command line, with a real gateway, Redis and broker."""

import asyncio
import json

import pytest
from typer.testing import CliRunner

from schemas.approval import ReleaseClaim
from services.cli.app import app
from shared.blackboard import BoardStore, ClaimStore, read_live_events
from shared.blackboard.claims import Refused
from shared.service.rebuild import rebuild
from tests.integration.gateway.test_access import Keyring
from tests.support.boards import author, keeping_board, live, post, wanted
from tests.support.gateway_fixtures import begin, records_of, serving
from tests.support.orchestrating import RUN, delivery, task

HOSTILE = "<script>alert(1)</script>\x1b[31m write to eve"

pytestmark = pytest.mark.broker


@pytest.fixture
async def boards(store, sentinel, orchestrator, settings):
    await orchestrator.handle(task())
    keep, boards = keeping_board(orchestrator.parts.broker, settings), BoardStore(sentinel, 60)
    await boards.post(author(), post(content=HOSTILE, taint=["page:https://a.example"]), keep)
    await boards.post(author(step="s2"), post(content={"percent": 5}, expect=1), keep)
    await boards.post(author("data"), post("year", "which year?", kind="question"), keep)
    return boards


@pytest.fixture
async def claim(boards, sentinel, orchestrator, settings):
    return await ClaimStore(sentinel).claim(
        author(), wanted(seconds=600), keeping_board(orchestrator.parts.broker, settings)
    )


async def cli(gateway, *arguments):
    command = [*arguments, "--gateway", str(gateway.base_url)]
    return await asyncio.to_thread(CliRunner().invoke, app, command)


async def released(gateway, orchestrator, settings, **order):
    """The answer to a release, after the orchestrator has handled its command."""
    answer = await gateway.post("/v1/claims/release", json={"by": "ann", "reason": "stuck", **order})
    if answer.status_code == 202:
        (record,) = await records_of(settings, "control", 1)
        await orchestrator.handle(delivery(ReleaseClaim.model_validate_json(record.value), "release-1"))
    return answer


async def test_a_board_shows_its_entries_their_history_and_the_claims_of_the_run(gateway, claim):
    found = (await gateway.get(f"/v1/runs/{RUN}/board")).json()
    assert [(each["kind"], each["key"], each["version"]) for each in found["entries"]] == [
        ("finding", "rate", 2),
        ("question", "year", 1),
    ]
    assert [each["resource"] for each in found["claims"]] == ["customer 42"]
    which = {"kind": "finding", "key": "rate", "history": "true"}
    history = (await gateway.get(f"/v1/runs/{RUN}/board", params=which)).json()["entries"]
    assert [each["content"] for each in history] == [HOSTILE, {"percent": 5}]
    assert history[0]["taint"] == ["page:https://a.example"]
    assert (await gateway.get(f"/v1/runs/{RUN}/board", params={"history": "true"})).status_code == 422


async def test_a_board_of_another_tenant_or_run_is_not_found(gateway, boards, store, sentinel):
    for path, tenant in ((f"/v1/runs/{RUN}/board", "other"), ("/v1/runs/run-none/board", "default")):
        assert (await gateway.get(path, params={"tenant": tenant})).status_code == 404
    await begin(store, RUN, tenant="other")
    assert (await gateway.get(f"/v1/runs/{RUN}/board", params={"tenant": "other"})).json()["entries"] == []
    assert (await gateway.get("/v1/claims", params={"tenant": "other"})).json() == {"claims": []}


async def test_a_person_releases_a_claim_and_the_run_records_who_and_why(
    gateway, claim, orchestrator, settings, sentinel
):
    await live(sentinel, "run-other")
    other = author("data", "run-other"), wanted(), keeping_board(orchestrator.parts.broker, settings, "run-other")
    assert isinstance(await ClaimStore(sentinel).claim(*other), Refused)
    assert (await released(gateway, orchestrator, settings, resource="customer 42")).status_code == 202
    assert (await gateway.get("/v1/claims")).json() == {"claims": []}
    recorded = (await read_live_events(sentinel.own, "default", RUN))[-1]
    assert (recorded.type, recorded.data["by"], recorded.data["reason"]) == ("waggle.claim-released.v1", "ann", "stuck")
    await sentinel.own.flushall()
    await rebuild(sentinel, settings)
    assert (await gateway.get("/v1/claims")).json() == {"claims": []}, "the release is in the log"
    await live(sentinel, "run-other")
    assert (await ClaimStore(sentinel).claim(*other)).number > claim.number


async def test_a_release_names_a_held_claim_and_its_number(gateway, claim, orchestrator, settings):
    unknown = await released(gateway, orchestrator, settings, resource="customer 7")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "unknown_claim")
    stale = await released(gateway, orchestrator, settings, resource="customer 42", number=claim.number - 1)
    assert stale.status_code == 409
    other = await gateway.post(
        "/v1/claims/release",
        params={"tenant": "other"},
        json={"by": "eve", "reason": "mine", "resource": "customer 42"},
    )
    assert other.status_code == 404, "claims of other tenants are not reachable"


async def test_the_command_line_shows_boards_as_text_and_lists_and_releases_claims(gateway, claim):
    shown = await cli(gateway, "board", RUN)
    assert shown.exit_code == 0, shown.output
    assert "finding rate  version 2" in shown.stdout
    assert "holds customer 42" in shown.stdout
    whole = await cli(gateway, "board", RUN, "rate")
    assert "\x1b" not in whole.stdout
    assert "<script>alert(1)</script>" in whole.stdout
    assert "after reading: page:https://a.example" in whole.stdout
    assert json.loads((await cli(gateway, "board", RUN, "--json")).stdout)["entries"][0]["key"] == "rate"
    listed = await cli(gateway, "claims", "list")
    assert f"customer 42  since {claim.since:%Y-%m-%d %H:%M:%S}Z" in listed.stdout
    assert (await cli(gateway, "claims", "release", "customer 42", "--reason", "stuck")).exit_code == 0
    missing = await cli(gateway, "claims", "release", "customer 7", "--reason", "stuck")
    assert "waggle claims list" in missing.output


async def test_contents_of_a_board_need_their_role(settings, topics, boards, tmp_path, store):
    keys = tmp_path / "keys.toml"
    ring = Keyring()
    ring.add("viewer", ["default"], ["viewer"])
    ring.add("reader", ["default"], ["viewer", "contents"])
    keys.write_text("\n".join(ring.lines))
    async with serving(settings, principals=keys) as client:
        withheld = (await client.get(f"/v1/runs/{RUN}/board", headers=ring["viewer"])).json()
        assert withheld["withheld"] is True
        assert [(each["content"], each["reason"], each["taint"]) for each in withheld["entries"]] == [
            (None, "", [])
        ] * 2
        shown = (await client.get(f"/v1/runs/{RUN}/board", headers=ring["reader"])).json()
        assert shown["entries"][0]["content"] == {"percent": 5}
