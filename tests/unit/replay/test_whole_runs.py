"""Recorded calls as the answers of a branch, replies that a person gives, and turns by name."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from shared.authorization import sameness_of
from shared.blackboard.ledger import Amounts
from shared.replay.whole.calls import RecordedCalls
from shared.replay.whole.experiment import NotPlayable, chosen_turn
from shared.replay.whole.replies import Script, reply_given, turns_of
from shared.replay.works import Entry

START = datetime(2026, 1, 1, tzinfo=UTC)


def entry(name, value, of=None, seconds=0):
    return Entry(name, value, of, 1, START + timedelta(seconds=seconds), Amounts())


def turn(name, *calls, seconds=0):
    requests = [{"id": "1", "name": tool, "arguments": json.dumps(said)} for tool, said in calls]
    return entry(name, {"reply": {"tool_requests": requests, "content": None}}, seconds=seconds)


def call(name, tool, arguments, answer):
    of = {"kind": "tool_call", "name": tool, "digest": sameness_of(tool, arguments)}
    return entry(name, json.dumps({"result": answer}), of)


WORKS = {
    "run/a/0.0": [
        turn("think-1/turn-1", ("look", {"key": "x"}), ("look", {"key": "y"})),
        entry("artefact:one.txt", {"name": "one.txt"}),
        call("think-1/turn-1/call-1", "look", {"key": "x"}, "first"),
        call("think-1/turn-1/call-2", "look", {"key": "y"}, "other"),
        turn("think-1/turn-2", seconds=9),
    ],
    "run/b/0.0": [
        turn("think-1/turn-1", ("look", {"key": "x"}), seconds=5),
        call("think-1/turn-1/call-1", "look", {"key": "x"}, "second"),
        entry("think-1/turn-1/call-9", json.dumps({"dry_run": True}), {"name": "look", "digest": "d"}),
    ],
}


def test_equal_calls_are_answered_in_order_of_their_own_work_first_and_each_once():
    calls, x = RecordedCalls.of(WORKS), sameness_of("look", {"key": "x"})
    assert [each.place[-1] for each in calls.all] == ["1", "2", "1"]
    taken = [calls.take(work, "look", x) for work in ("run/b/0.0", "run/b/0.0", "run/b/0.0")]
    assert [each and json.loads(each.answer)["result"] for each in taken] == ["second", "first", None]
    assert taken[1].files == {"artefact:one.txt": {"name": "one.txt"}}


def test_the_most_similar_call_is_named_for_one_that_is_not_on_record():
    near = RecordedCalls.of(WORKS).nearest("look", {"key": "z"})
    assert (near.call.place, near.used) == ("think-1/turn-1/call-1", False)
    assert near.differs == ["key: recorded x, asked z"]
    assert RecordedCalls.of(WORKS).nearest("unheard_of", {}) is None


def test_a_branch_begins_with_the_replies_recorded_before_its_turn():
    chosen = chosen_turn(WORKS, "a/turn-2")
    script = Script.until(WORKS, chosen, reply_given("so it is"))
    assert set(script.recorded) == {("run/a/0.0", "think-1/turn-1"), ("run/b/0.0", "think-1/turn-1")}
    assert script.given["run/a/0.0", "think-1/turn-2"].content == "so it is"
    assert len(list(turns_of(WORKS))) == 3


def test_a_turn_that_is_not_on_record_is_refused_with_those_that_are():
    with pytest.raises(NotPlayable, match=r"no turn `a/turn-7`.*a/0\.0/think-1/turn-1"):
        chosen_turn(WORKS, "a/turn-7")


def test_a_given_reply_is_a_text_or_calls():
    assert reply_given('{"answer": "x"}').content == '{"answer": "x"}'
    made = reply_given('{"calls": [{"name": "look", "arguments": {"key": "x"}}]}')
    assert [(each.name, json.loads(each.arguments)) for each in made.tool_requests] == [("look", {"key": "x"})]
    for wrong in ('{"calls": []}', '{"calls": [{"arguments": {}}]}', '{"calls": [7]}'):
        with pytest.raises(ValueError, match="call"):
            reply_given(wrong)
