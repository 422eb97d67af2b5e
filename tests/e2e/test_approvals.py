"""Questions to a person in the whole swarm, and the application of an approved dry run."""

import asyncio
import json
import subprocess
import sys

import pytest

from tests.support.approvals import mails_to
from tests.support.swarm import follow, gateway, result_of, submit

pytestmark = pytest.mark.broker

__all__ = ["gateway"]

SIX = [f"reader{number}@example.org" for number in range(6)]


def waggle(swarm, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "services.cli", *arguments, "--gateway", swarm.endpoints["WAGGLE_GATEWAY"]]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


async def asked_by(gateway, run_id: str) -> dict:
    async with asyncio.timeout(60):
        while not (asked := (await gateway.get(f"/v1/runs/{run_id}")).json()["waiting_for"]):
            await asyncio.sleep(0.1)
    return asked


async def test_a_mail_to_many_waits_for_a_person_who_sees_it_and_it_is_sent_once_when_approved(swarm, gateway):
    run_id = await submit(gateway, f"Write a short note on tides and mail it to {', '.join(SIX)}")
    proposal = (await asked_by(gateway, run_id))["proposal"]
    assert (proposal["tool"], proposal["risk"]) == ("send_email", "critical")
    assert mails_to(swarm, SIX[0]) == []
    assert run_id in waggle(swarm, "approvals", "list").stdout
    shown = waggle(swarm, "approvals", "show", run_id).stdout
    assert all(each in shown for each in (*SIX, proposal["digest"], "cannot be undone"))
    other = waggle(swarm, "approvals", "approve", run_id, "--digest", "0" * 12)
    assert (other.returncode, "not the digest" in other.stderr) == (2, True)
    approved = waggle(swarm, "approvals", "approve", run_id, "--digest", proposal["digest"][:12], "--by", "eva")
    assert approved.returncode == 0, approved.stderr
    assert (await result_of(gateway, run_id))["status"] == "complete"
    assert len(mails_to(swarm, SIX[0])) == 1
    judged = [each for _, event in await follow(gateway, run_id) for each in event.get("judged", [])]
    said = [(each["verdict"], each["rule"]) for each in judged if each["name"] == "send_email"]
    assert [verdict for verdict, _ in said] == ["ask", "allow"]
    assert said[1] == ("allow", "approval")


async def test_a_rejected_mail_is_not_sent_and_the_run_is_replanned_with_the_reason(swarm, gateway):
    readers = [f"refused-{each}" for each in SIX]
    run_id = await submit(gateway, f"Write a short note on dunes and mail it to {', '.join(readers)}")
    await asked_by(gateway, run_id)
    refused = waggle(swarm, "approvals", "reject", run_id, "--reason", "mail nobody")
    assert refused.returncode == 0, refused.stderr
    async with asyncio.timeout(60):
        while not any(event.get("reason") == "mail nobody" for _, event in await events_so_far(gateway, run_id)):
            await asyncio.sleep(0.2)
    assert mails_to(swarm, readers[0]) == []
    await gateway.post(f"/v1/runs/{run_id}/cancel", json={"by": "eva", "reason": "seen enough"})


async def test_a_dry_run_sends_nothing_and_what_it_has_shown_can_be_approved_and_is_done_once(swarm, gateway):
    reader = "dry@example.org"
    run_id = await submit(gateway, f"Write a short note on moss and mail it to {reader}", dry_run=True)
    shown = await result_of(gateway, run_id)
    assert [each["tool"] for each in shown["effects"]] == ["write_report", "send_email"]
    assert {each["verdict"] for each in shown["effects"]} == {"allow"}
    assert mails_to(swarm, reader) == []
    told = waggle(swarm, "result", run_id).stdout
    assert shown["effects_digest"][:12] in told
    assert waggle(swarm, "apply", run_id, "--digest", "0" * 12).returncode == 2
    for expected in (0, 9):
        done = waggle(swarm, "apply", run_id, "--digest", shown["effects_digest"][:12])
        assert done.returncode == expected, done.stderr
        result = await result_of(gateway, run_id)
    assert result["status"] == "complete"
    assert result["answer"].startswith(shown["answer"])
    assert "Carried out as approved" in result["answer"]
    assert [(each["tool"], each["outcome"]) for each in result["acting_calls"]] == [("send_email", "made")]
    assert "Calls with outside effects" in waggle(swarm, "result", run_id).stdout
    (mail,) = mails_to(swarm, reader)
    body = next(json.loads(each["arguments"])["body"] for each in shown["effects"] if each["tool"] == "send_email")
    assert body.splitlines()[0][:20] in mail.get_body(("plain",)).get_content()
    assert result["usage"]["model_calls"] == shown["usage"]["model_calls"]


async def events_so_far(gateway, run_id: str) -> list[tuple[str, dict]]:
    found, kind = [], ""
    async with gateway.stream("GET", f"/v1/runs/{run_id}/events", timeout=10) as stream:
        try:
            async with asyncio.timeout(1):
                async for line in stream.aiter_lines():
                    if line.startswith("event: "):
                        kind = line.removeprefix("event: ")
                    elif line.startswith("data: "):
                        found.append((kind, json.loads(line.removeprefix("data: "))))
        except TimeoutError:
            pass
    return found
