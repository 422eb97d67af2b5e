"""`waggle runs` with filters, and `waggle batch`, against a scripted gateway."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from services.cli import run_batch_actions
from tests.support.fake_gateway import RUN, view

REASON = ("--reason", "wrong template")


@pytest.fixture
def fleet(script):
    shared = view("EXECUTING").model_dump(include={"run_id", "state", "objective", "started", "finished", "reason"})
    script.pages = [[shared | {"steps_done": 2, "steps_total": 3, "cost_usd": 0.5}]]
    script.many = [("run-1", "accepted"), ("run-2", "skipped"), ("run-3", "accepted")]
    return script


@pytest.fixture
def person(monkeypatch):
    """Commands run as at a terminal."""
    monkeypatch.setattr(run_batch_actions, "is_attended", lambda: True)


def sent(script) -> list[dict]:
    return [order for order in script.orders if not order.get("dry_run")]


def test_filters_are_sent_as_the_gateway_takes_them(waggle, fleet):
    options = ["--state", "executing", "--agent", "data", "--type", "mail", "--since", "2h", "--text"]
    flags = ["--retrying", "--waiting", "--over-budget", "--to-review", "--stopped", "--solved", "no", "--limit", "5"]
    ended = waggle("runs", *options, "refund orders", *flags)
    assert (ended.exit_code, RUN in ended.stdout) == (0, True)
    [asked] = fleet.searches
    assert timedelta(hours=1) < datetime.now(UTC) - datetime.fromisoformat(asked.pop("since")) < timedelta(hours=3)
    flags = dict.fromkeys(("retrying", "waiting", "over_budget", "to_review", "stopped"), True)
    texts = {"state": "EXECUTING", "agent": "data", "type": "mail", "text": "refund orders", "solved": "no"}
    assert asked == texts | flags | {"tenant": "default", "limit": 5}


def test_a_list_that_may_lack_runs_says_so(waggle, fleet):
    fleet.indexing = True
    assert "still being indexed" in waggle("runs", "--agent", "data").stderr


def test_a_batch_is_previewed_confirmed_and_reported(waggle, fleet, person):
    ended = waggle("batch", "pause", "--agent", "data", *REASON, "--by", "ada", input="y\n")
    assert ended.exit_code == 0, ended.output
    for words in ("3 runs match", "Pause 3 runs?", "2/3 run-2 skipped: it has ended", "2 accepted, 1 skipped."):
        assert words in ended.stdout
    [preview, order] = fleet.orders
    assert (preview["dry_run"], preview["expected"]) == (True, None)
    assert order == {
        "action": "pause",
        "filter": {"agent": "data"},
        "reason": "wrong template",
        "rate": 50.0,
        "by": "ada",
        "expected": 3,
    }


def test_nothing_is_sent_without_a_confirmation(waggle, fleet, person):
    assert waggle("batch", "cancel", "--agent", "data", *REASON, input="n\n").exit_code == 2
    assert sent(fleet) == []


def test_more_than_fifty_are_confirmed_by_typing_their_number(waggle, fleet, person):
    fleet.many = [(f"run-{n}", "accepted") for n in range(51)]
    for typed, code in (("y\n", 2), ("50\n", 2), ("51\n", 0)):
        ended = waggle("batch", "stop", "--agent", "data", *REASON, input=typed)
        assert (ended.exit_code, "type their number" in ended.stdout) == (code, True), ended.output
    assert len(sent(fleet)) == 1


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ((), 2),
        (("--yes",), 2),
        (("--yes", "--expect", "2"), 2),
        (("--yes", "--expect", "3"), 0),
        (("--yes", "--expect", "9"), 0),
        (("--dry-run",), 0),
    ],
)
def test_without_a_person_the_expected_number_must_be_given(waggle, fleet, options, code):
    ended = waggle("batch", "resume", "--state", "paused", *options)
    assert ended.exit_code == code, ended.output
    assert len(sent(fleet)) == (code == 0 and "--yes" in options)
    if code:
        assert "--yes --expect 3" in ended.stderr


def test_a_batch_without_a_filter_is_refused(waggle, fleet):
    ended = waggle("batch", "cancel", *REASON, "--yes", "--expect", "9")
    assert (ended.exit_code, "at least one filter" in ended.stderr) == (2, True)
    assert fleet.orders == []


def test_a_batch_that_is_cut_off_says_how_to_continue(waggle, fleet):
    fleet.dies_after = 1
    ended = waggle("batch", "pause", "--agent", "data", *REASON, "--yes", "--expect", "3")
    assert ended.exit_code != 0
    assert "repeat the command to continue" in ended.stderr


def test_a_batch_prints_one_document_for_programs_and_fails_if_a_run_did(waggle, fleet):
    fleet.many = [("run-1", "accepted"), ("run-2", "failed")]
    ended = waggle("batch", "pause", "--agent", "data", *REASON, "--yes", "--expect", "2", "--json")
    document = json.loads(ended.stdout)
    assert (ended.exit_code, document["of"]) == (1, 2)
    assert [(each["run_id"], each["outcome"]) for each in document["runs"]] == fleet.many


def test_no_match_is_said_and_asks_nothing(waggle, fleet, person):
    fleet.many, fleet.pages = [], [[]]
    ended = waggle("batch", "pause", "--agent", "nobody", *REASON)
    assert (ended.exit_code, "No run matches." in ended.stdout) == (0, True)
    assert sent(fleet) == []
