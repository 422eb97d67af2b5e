"""Replies compared with the recorded one: a decision differs in its tools, arguments, plan or verdicts."""

import json
from pathlib import Path

import pytest

from schemas.budget import Usage
from schemas.plan import Plan
from schemas.step import Findings, Verdict
from shared.llm import Reply, ToolRequest
from shared.replay.changed.change import Change, Unusable, value_of
from shared.replay.changed.decision import decision_of, differences, is_same

FOUND = {"answer": "Three.", "facts": [], "sources": [], "confidence": 0.9, "caveats": []}


def reply(content=None, *requests: tuple[str, str]) -> Reply:
    asked = [ToolRequest(id=str(n), name=name, arguments=text) for n, (name, text) in enumerate(requests)]
    text = content if content is None or isinstance(content, str) else json.dumps(content)
    about = {"finish_reason": "stop", "model": "m", "seconds": 0.0, "usage": Usage()}
    return Reply(content=text, tool_requests=asked, **about)


def compared(one: Reply, other: Reply, result=Findings, verdicts=(("allow",), ("allow",))):
    recorded, replayed = (
        decision_of(each, result, list(said) if each.tool_requests else [])
        for each, said in zip((one, other), verdicts, strict=True)
    )
    found = differences(recorded, replayed)
    return [(each.what, each.where) for each in found], is_same(found)


def test_equal_arguments_in_another_spelling_are_the_same_decision():
    one, other = reply(None, ("look", '{"a": 1, "b": 2}')), reply(None, ("look", '{"b":2,"a":1}'))
    assert compared(one, other) == ([], True)


@pytest.mark.parametrize(
    ("other", "found"),
    [
        (reply(None, ("look", '{"a": 2}')), [("arguments", "look#1 a")]),
        (reply(None, ("look", "no JSON")), [("arguments", "look#1")]),
        (reply(None, ("find", '{"a": 1}')), [("tool", "calls")]),
        (reply(None, ("look", '{"a": 1}'), ("look", '{"a": 1}')), [("tool", "calls")]),
        (reply(FOUND), [("kind", "reply")]),
        (reply("no answer"), [("kind", "reply")]),
    ],
)
def test_another_tool_argument_or_kind_of_reply_is_another_decision(other, found):
    assert compared(reply(None, ("look", '{"a": 1}')), other) == (found, False)


def test_another_verdict_on_the_same_call_is_another_decision():
    one = reply(None, ("look", "{}"))
    assert compared(one, one, verdicts=(("allow",), ("ask",))) == ([("verdict", "gate")], False)


def test_other_words_of_an_answer_are_the_same_decision_and_another_judgement_is_not():
    assert compared(reply(FOUND), reply(FOUND | {"answer": "3"})) == ([("wording", "answer")], True)
    one, other = ({"accepted": accepted, "reasons": [], "redo": []} for accepted in (True, False))
    assert compared(reply(one), reply(other), Verdict) == ([("answer", "accepted")], False)


def test_a_plan_is_compared_by_agents_and_dependencies_and_not_by_ids():
    def plan(*steps):
        made = [{"id": id, "objective": id, "agent": agent, "depends_on": list(needs)} for id, agent, needs in steps]
        return reply({"steps": made, "rationale": ""})

    one = plan(("a", "research", ()), ("b", "data", ("a",)))
    assert compared(one, plan(("x", "research", ()), ("y", "data", ("x",))), Plan)[1]
    found, same = compared(one, plan(("a", "research", ()), ("b", "data", ())), Plan)
    assert (found[0], same) == (("plan", "steps"), False)


def test_a_setting_is_checked_before_anything_is_asked():
    assert value_of("max_turns", "3") == 3
    assert value_of("gate", "gate.toml") == Path("gate.toml")
    for name, text in (("max_turns", "many"), ("asks", "perhaps"), ("unheard_of", "1")):
        with pytest.raises(Unusable):
            value_of(name, text)
    assert Change().document()["model"] is None
