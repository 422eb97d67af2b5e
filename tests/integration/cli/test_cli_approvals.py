"""`waggle approvals` against a scripted gateway: what is shown, what is sent, what is refused."""

import json

import pytest

from schemas.api.runs import ApprovalPage
from schemas.budget import Budget, Usage
from schemas.question_events import HelpRequested
from tests.support.fake_gateway import RUN, built, happened

DIGEST = "5f0c9a7d21b4" + "0" * 52
PROPOSAL = {
    "call": "think-1/turn-1/call-1",
    "tool": "send_email",
    "arguments": '{"to": ["eve@example.org"]}',
    "digest": DIGEST,
    "agent": "communication",
    "doing": "Tell the shop \x1b[31mred",
    "risk": "high",
    "effect": "irreversible",
    "rule": "taint",
    "reason": "the task does not ask for it",
    "if_approved": "it is sent",
    "if_rejected": "it is planned anew",
    "confidence": 0.5,
    "origins": ["page:https://example.org/"],
    "tried": ["summarise_files {}: answered"],
    "expires": 60,
    "usable": 60,
}


@pytest.fixture
def asked(script):
    script.add_waiting(proposal=PROPOSAL)
    return script


def test_everything_a_person_needs_is_shown_and_nothing_steers_the_terminal(waggle, asked):
    shown = waggle("approvals", "show", RUN).stdout
    for each in ("send_email", "eve@example.org", DIGEST, "taint", "page:https://example.org/", "it is sent", "Tell"):
        assert each in shown
    assert "\x1b" not in shown


def test_an_approval_names_the_call_that_was_looked_at(waggle, asked):
    assert waggle("approvals", "approve", RUN, "--digest", DIGEST[:12], "--by", "eva").exit_code == 0
    _, _, sent = asked.commands[-1]
    assert (sent["decision"], sent["digest"], sent["by"]) == ("approve", DIGEST, "eva")


@pytest.mark.parametrize(("digest", "said"), [("0" * 12, "not the digest"), ("5f0c", "at least the first 8")])
def test_another_calls_digest_or_a_short_one_approves_nothing(waggle, asked, digest, said):
    ended = waggle("approvals", "approve", RUN, "--digest", digest)
    assert ended.exit_code == 2
    assert said in ended.stderr
    assert asked.commands == []


def test_a_rejection_needs_a_reason(waggle, asked):
    assert waggle("approvals", "reject", RUN).exit_code == 2
    assert waggle("approvals", "reject", RUN, "--reason", "not to her").exit_code == 0
    assert asked.commands[-1][2]["answer"] == "not to her"


UNREADABLE = {
    "run_id": "run-broken",
    "state": "WAITING_HUMAN",
    "objective": "(unreadable)",
    "started": "2026-01-01T00:00:00Z",
    "finished": None,
    "steps_done": 0,
    "steps_total": 0,
    "cost_usd": 0.0,
    "reason": "its record is \x1b[31mno JSON",
    "unreadable": True,
}
ASKED = {"request_id": f"{RUN}/help/1", "about": "step", "step_id": "s1", "question": "may I?", "options": []}
LISTED = {
    "run_id": RUN,
    "objective": "tell the shop",
    "asked": happened(HelpRequested, 5, **ASKED),
    "usage": Usage(),
    "budget": Budget(),
}


def page(next_offset=None, **found):
    return built(ApprovalPage, {"approvals": [], "next_offset": next_offset} | found)


def test_runs_that_wait_and_cannot_be_read_are_listed_with_what_to_do(waggle, script):
    script.approvals = [
        page(approvals=[LISTED], next_offset=1),
        page(unreadable=[UNREADABLE]),
    ]
    ended = waggle("approvals", "list")
    assert "may I?" in ended.stdout
    assert "run-broken waits for a person, but its record is unreadable: its record is" in ended.stderr
    assert "waggle cancel run-broken" in ended.stderr
    assert "\x1b" not in ended.stderr
    listed = waggle("approvals", "list", "--json")
    assert [each["run_id"] for each in json.loads(listed.stdout)] == [RUN]
    assert "run-broken" in listed.stderr


def test_nothing_is_said_to_wait_only_when_nothing_does(waggle, script):
    script.approvals = [page(unreadable=[UNREADABLE])]
    assert "No run is waiting" not in waggle("approvals", "list").stdout
    script.approvals = [{"approvals": [], "next_offset": None}]  # as a gateway of an earlier version answers
    ended = waggle("approvals", "list")
    assert ("No run is waiting" in ended.stdout, ended.stderr) == (True, "")
