"""A run of the whole swarm, replayed by the command line from the logs in Kafka alone."""

import asyncio
import json
import os
import subprocess
import sys

import pytest

from tests.support.approvals import mails_to
from tests.support.swarm import gateway, result_of, scripted, submit

pytestmark = [pytest.mark.broker, pytest.mark.timeout(400)]

__all__ = ["gateway"]

READERS = [f"replayed{number}@example.org" for number in range(6)]


def replay(swarm, *arguments: str, command: str = "replay", **variables: str) -> subprocess.CompletedProcess[str]:
    prefix = swarm._environment["WAGGLE_TOPIC_PREFIX"]
    reached = {"WAGGLE_KAFKA": swarm.endpoints["WAGGLE_KAFKA"], "WAGGLE_TOPIC_PREFIX": prefix}
    reached["WAGGLE_REDIS"] = "redis://127.0.0.1:9/0"  # none: a replay needs no Redis
    called = [sys.executable, "-m", "services.cli", command, *arguments]
    environment = os.environ | reached | variables
    return subprocess.run(called, capture_output=True, text=True, timeout=180, check=False, env=environment)


async def test_an_approved_run_is_decided_again_as_recorded_and_differently_by_a_stricter_gate(
    swarm, gateway, model, tmp_path
):
    run_id = await submit(gateway, f"Write a short note on replays and mail it to {', '.join(READERS)}")
    async with asyncio.timeout(60):
        while not (asked := (await gateway.get(f"/v1/runs/{run_id}")).json()["waiting_for"]):
            await asyncio.sleep(0.1)
    decided = {"request_id": asked["request_id"], "digest": asked["proposal"]["digest"], "by": "eva"}
    answered = await gateway.post(f"/v1/runs/{run_id}/decisions", json={"decision": "approve", **decided})
    assert answered.status_code < 300, answered.text
    assert (await result_of(gateway, run_id))["status"] == "complete"
    sent = len(mails_to(swarm, READERS[0]))

    same = await asyncio.to_thread(replay, swarm, run_id, "--json")
    assert same.returncode == 0, same.stdout + same.stderr
    found = json.loads(same.stdout)
    assert (found["outcome"], found["differences"], found["unknown"]) == ("same", [], [])
    assert found["handoffs"] >= 4
    assert found["turns"] >= 4
    assert found["verdicts"] > found["turns"]

    live = {"OPENAI_BASE_URL": f"{model}/v1", "OPENAI_API_KEY": "simulated"}
    whole = await asyncio.to_thread(replay, swarm, run_id, "--whole", "--json", **live)
    assert whole.returncode == 0, whole.stdout + whole.stderr
    [branch] = json.loads(whole.stdout)["branches"]
    assert (branch["state"], branch["stopped"], branch["differences"]) == ("COMPLETE", None, [])

    gate = tmp_path / "gate.toml"
    gate.write_text('[tools.write_report]\nrisk = "critical"\n')
    other = await asyncio.to_thread(replay, swarm, run_id, WAGGLE_GATE=str(gate))
    assert other.returncode == 1, other.stdout + other.stderr
    assert "verdict" in other.stdout
    assert "write_report" in other.stdout
    assert len(mails_to(swarm, READERS[0])) == sent == 1

    same = await asyncio.to_thread(backtest, swarm, run_id, gate, "")
    assert (same["code"], same["changes"]) == (0, [])
    assert same["judged"] >= 2
    assert same["mismatched"] == same["unknown"] == 0
    denied = await asyncio.to_thread(backtest, swarm, run_id, gate, '[tools.write_report]\nrisk = "critical"\n')
    assert denied["code"] == 1
    assert {(each["tool"], each["kind"], each["old"]["verdict"]) for each in denied["changes"]} == {
        ("write_report", "ask", "allow")
    }
    freed = await asyncio.to_thread(backtest, swarm, run_id, gate, "[thresholds]\nrecipients = 10\n")
    assert [(each["tool"], each["kind"]) for each in freed["changes"]] == [("send_email", "allow")]
    assert READERS[0] in freed["changes"][0]["arguments"]

    limits = tmp_path / "tenants.toml"
    limits.write_text('unknown = "all"\n[tiers.all.most]\nmodel_calls = 2\n')
    fewer = await asyncio.to_thread(replay, swarm, "--budgets", str(limits), "--json", command="backtest")
    assert fewer.returncode == 1, fewer.stdout + fewer.stderr
    [stop] = [each for each in json.loads(fewer.stdout)["runs_stopped"] if each["run_id"] == run_id]
    assert (stop["kind"], stop["limit"], stop["allowed"]) == ("run", "model_calls", 2)
    assert stop["reached"] > 2


async def test_its_turns_are_asked_again_of_another_model_and_no_mail_is_sent(swarm, gateway, model):
    run_id = await submit(gateway, f"Write a short note on asking again and mail it to {READERS[0]}")
    assert (await result_of(gateway, run_id))["status"] == "complete"
    sent = len(mails_to(swarm, READERS[0]))
    live = {"OPENAI_BASE_URL": f"{model}/v1", "OPENAI_API_KEY": "simulated"}

    again = await asyncio.to_thread(replay, swarm, run_id, "--model", "waggle-simulated", "--json", **live)
    assert again.returncode == 0, again.stdout + again.stderr
    found = json.loads(again.stdout)
    assert (found["outcome"], found["unknown"]) == ("same", [])
    assert found["total"]["same"] == found["total"]["of"] >= 4
    assert "turns x 1 tries: about" in again.stderr

    when = {"model": "waggle-simulated-other", "agent": "communication", "text": "asking again"}
    await scripted(model, {"when": when, "reply": {"calls": [{"name": "unheard_of"}]}})
    other = ["--model", "waggle-simulated-other", "--agent", "communication", "--tries", "2", "--budget", "9"]
    changed = await asyncio.to_thread(replay, swarm, run_id, *other, **live)
    assert changed.returncode == 1, changed.stdout + changed.stderr
    assert "unheard_of" in changed.stdout
    assert "no tenant was charged" in changed.stdout
    assert len(mails_to(swarm, READERS[0])) == sent


async def test_it_is_played_again_as_branches_that_cannot_act(swarm, gateway, model, tmp_path):
    run_id = await submit(gateway, f"Write a short note on branches and mail it to {READERS[0]}")
    assert (await result_of(gateway, run_id))["status"] == "complete"
    sent = len(mails_to(swarm, READERS[0]))
    live = {"OPENAI_BASE_URL": f"{model}/v1", "OPENAI_API_KEY": "simulated"}

    whole = await asyncio.to_thread(replay, swarm, run_id, "--whole", "--json", "--tries", "2", **live)
    found = json.loads(whole.stdout)
    assert (whole.returncode, found["control"]["differences"], found["control"]["stopped"]) == (0, [], None), (
        whole.stdout
    )
    assert (found["outcome"], found["total"]["same"]["number"]) == ("same", 2)
    assert found["branches"][0]["answered"] == found["recorded"]["answers"] >= 1

    other = {"to": [READERS[1]], "subject": "branches", "body": "a note"}
    answer = tmp_path / "answer.json"
    answer.write_text(json.dumps({"calls": [{"name": "send_email", "arguments": other}]}))
    turn = ["--from-turn", "communication/turn-1", "--answer", str(answer), "--json"]
    ended = await asyncio.to_thread(replay, swarm, run_id, *turn, **live)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    [branch] = json.loads(ended.stdout)["branches"]
    assert (branch["outcome"], branch["stopped"]["kind"], branch["prompts"]) == ("differs", "miss", [])
    assert READERS[1] in json.dumps(branch["stopped"]["asked"])
    assert {each["what"] for each in branch["differences"]} <= {"tool", "arguments", "verdict"}

    unknown = await asyncio.to_thread(replay, swarm, run_id, "--from-turn", "nowhere/turn-1", **live)
    assert unknown.returncode == 2, unknown.stdout + unknown.stderr
    assert "communication/0.0/think-1/turn-1" in unknown.stderr
    assert len(mails_to(swarm, READERS[0])) == sent


def backtest(swarm, run_id, gate, text: str) -> dict:
    """The outcome for one run, whichever others the log has."""
    gate.write_text(text)
    ended = replay(swarm, "--gate", str(gate), "--limit", "10000", "--json", command="backtest")
    assert ended.returncode in (0, 1), ended.stdout + ended.stderr
    found = json.loads(ended.stdout)
    calls = [each for each in found["calls"] if each["run_id"] == run_id]
    counts = {name: found["counts"].get(name, 0) for name in ("judged", "mismatched", "unknown")}
    return {"code": ended.returncode, "changes": calls} | counts
