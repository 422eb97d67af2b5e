"""Journals, folded from their log."""

import json

import pytest

from schemas.budget import Usage
from schemas.log import JournalWritten
from shared.blackboard.ledger import Amounts, RunLedger
from shared.service.rebuild.fold import fold_journals, fold_ledgers


def written(name: str, epoch: int, entry: object, work: str = "w") -> JournalWritten:
    return JournalWritten(tenant="default", work_id=work, epoch=epoch, name=name, entry=entry)


def test_of_two_entries_with_one_name_the_later_counts():
    log = [written("call/intent", 1, {"tool": "send"}), written("call/intent", 1, None)]
    assert fold_journals(log) == {("default", "w"): {"call/intent": None}}


def test_entries_of_a_fenced_writer_are_left_out_under_any_name():
    log = [
        written("turn-1", 1, "first"),
        written("turn-2", 3, "owner"),
        written("turn-2", 2, "from the grave"),
        written("turn-3", 2, "from the grave"),
        written("turn-3", 1, "of other work", work="v"),
    ]
    assert fold_journals(log) == {
        ("default", "w"): {"turn-1": "first", "turn-2": "owner"},
        ("default", "v"): {"turn-3": "of other work"},
    }


def test_spending_of_a_run_is_in_its_journals():
    usage = Usage(prompt_tokens=10, completion_tokens=5, cost_usd=0.001, model_calls=1)
    turn = {"reply": {"usage": usage.model_dump()}, "attempt": "3.1"}
    one = {
        "think-1/turn-1": turn,
        "think-1/turn-1/call-1/intent": {"tool": "send"},
        "think-1/turn-1/call-1": "sent",
        "think-1/turn-1/call-1/edited": {"arguments": "{}"},
        "think-1/turn-1/call-2/0a1b2c3d/question": '{"answer_of_a_person": "yes"}',
        "think-1/turn-2/lost-3.2": {"try": 1, "lost": [100, 50, 7, 1, 0]},
        "call-1/intent": None,
    }
    ledgers = fold_ledgers({("shop", "run-1/a/0.0"): one, ("shop", "run-1/b/0.0"): {"think-1/turn-1": turn}})
    assert ledgers == {
        ("shop", "run-1"): RunLedger(
            {"run-1/a/0.0/think-1/turn-1": "3.1", "run-1/b/0.0/think-1/turn-1": "3.1"},
            Amounts(tokens=130, output_tokens=60, nano_usd=2_000_007, model_calls=3, tool_calls=1),
        )
    }


CALL = "call-1"
BEGUN = {"digest": f"run-1/a/0.0/{CALL}"}


@pytest.mark.parametrize(
    ("entries", "begun"),
    [
        ({CALL: '{"result": 1}'}, BEGUN),
        ({CALL: '{"settled_by_a_person": "it has happened"}'}, BEGUN),
        ({CALL: json.dumps({"error": {"code": "timeout"}})}, BEGUN),
        ({CALL: json.dumps({"error": {"code": "unavailable"}})}, {}),
        ({CALL: json.dumps({"result": 1, "already_made": {}})}, {}),
        ({f"{CALL}/intent": {"tool": "pay"}}, BEGUN),
        ({f"{CALL}/intent": None}, {}),
        ({f"{CALL}/intent": {"tool": "pay"}, CALL: json.dumps({"error": {"code": "unavailable"}})}, {}),
        ({f"{CALL}/refused": json.dumps({"error": {"code": "rate_limited"}})}, {}),
    ],
)
def test_a_ledger_has_the_acting_calls_that_were_or_may_have_been_made(entries, begun):
    identity = {"kind": "tool_call", "acting": {"digest": "digest"}}
    journal = entries | {f"{name}/of": identity for name in entries}
    other = {CALL: '{"result": 1}', f"{CALL}/of": {"kind": "tool_call"}, "think-1/turn-1": "reply"}
    ledgers = fold_ledgers({("shop", "run-1/a/0.0"): journal, ("shop", "run-1/b/0.0"): other})
    assert ledgers["shop", "run-1"].acting == begun
