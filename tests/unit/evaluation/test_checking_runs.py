"""The check of a run by its case."""

import json

import pytest

from schemas.acting import ActingCall
from shared.evaluation import Call, Case, Observed, calls_in, check
from shared.evaluation.numbers import numbers
from shared.evaluation.observed import calls_by_code


def call(tool, made=True, failed=False, **arguments):
    return Call(agent="data", tool=tool, arguments=json.dumps(arguments), made=made, failed=failed)


def problems(expect, *calls, **run):
    case = Case.model_validate({"name": "one", "objective": "do it", "expect": expect})
    return check(case, Observed.model_validate({"status": "complete", "calls": list(calls)} | run))


def in_order(*tools):
    return {"in_order": [{"tool": tool} for tool in tools]}


def test_calls_in_order_may_have_others_between_them():
    assert problems(in_order("query", "send"), call("query"), call("chart"), call("send")) == []
    assert problems(in_order("query", "send"), call("send"), call("query")) == ["does not call send() after query()"]
    assert problems(in_order("query", "query"), call("query")) == ["does not call query() after query()"]


def test_calls_in_any_order_and_their_number():
    wanted = {"in_any_order": [{"tool": "send"}, {"tool": "query", "times": 1}]}
    assert problems(wanted, call("query"), call("send"), call("send")) == []
    assert problems(wanted, call("query"), call("query")) == ["does not call send()", "calls query() 2 times, not 1"]
    assert problems({"in_order": [{"tool": "send", "times": 1}]}, call("send"), call("send")) != []


def test_a_call_that_was_refused_or_failed_is_none_that_was_expected():
    assert problems(in_order("send"), call("send", made=False), call("send", failed=True)) == ["does not call send()"]


def test_a_forbidden_call_counts_when_it_was_made_and_an_attempt_if_the_case_says_so():
    never = {"never": [{"tool": "send"}]}
    strict = {"never": [{"tool": "send", "attempts": True}]}
    stopped = call("send", made=False)
    assert problems(never, stopped) == []
    assert problems(never, call("send", failed=True)) == ["calls send(), which is forbidden"]
    assert problems(strict, stopped) == ["calls send(), which is forbidden"]


@pytest.mark.parametrize(
    ("match", "value", "fits"),
    [
        ("ada", "ada", True),
        ("ada", "Ada", False),
        (["a", 1], ["a", 1], True),
        (1, 1.0, True),
        (1, True, False),
        ({"equals": {"a": 1}}, {"a": 1}, True),
        ({"equals": None}, None, True),
        ({"contains": "ada@"}, ["bob@x", "ada@x"], True),
        ({"contains": "eve"}, ["bob@x", "ada@x"], False),
        ({"contains": '"a": 1'}, {"a": 1}, True),
        ({"matches": "^[0-9]+$"}, "42", True),
        ({"matches": "^[0-9]+$"}, "4x", False),
        ({"near": 10, "within": 0.5}, 10.4, True),
        ({"near": 10, "within": 0.5}, 10.6, False),
        ({"near": 1}, True, False),
        ({"near": 0.3}, 0.1 + 0.2, True),
        ({"absent": True}, 1, False),
    ],
)
def test_conditions_on_an_argument(match, value, fits):
    wanted = {"in_any_order": [{"tool": "t", "arguments": {"x": match}}]}
    assert (problems(wanted, call("t", x=value)) == []) is fits


def test_an_argument_that_is_missing_fits_only_absent():
    assert problems({"in_any_order": [{"tool": "t", "arguments": {"x": {"absent": True}}}]}, call("t")) == []
    assert problems({"in_any_order": [{"tool": "t", "arguments": {"x": None}}]}, call("t")) != []
    broken = Call(agent="data", tool="t", arguments="{no", made=True)
    assert problems({"in_any_order": [{"tool": "t", "arguments": {"x": 1}}]}, broken) != []


@pytest.mark.parametrize(
    ("condition", "met"),
    [
        ({"contains": "BERN"}, True),
        ({"contains": "Oslo"}, False),
        ({"lacks": "oslo"}, True),
        ({"lacks": "bern"}, False),
        ({"matches": r"\d+ visitors"}, True),
        ({"number": {"value": 1400, "within": 0}}, True),
        ({"number": {"value": 1399, "within": 0.9}}, False),
        ({"fits": {"type": "object", "required": ["total"]}}, True),
        ({"fits": {"type": "object", "properties": {"total": {"minimum": 2000}}}}, False),
    ],
)
def test_conditions_on_the_answer(condition, met):
    answer = 'Bern had 1,400 visitors.\n```json\n{"total": 1400}\n```\n'
    assert (problems({"answer": [condition]}, answer=answer) == []) is met


def test_a_schema_is_about_the_typed_result_where_there_is_one():
    wanted = {"answer": [{"fits": {"required": ["total"]}}]}
    assert problems(wanted, answer='{"total": 1}', data={"sum": 1}) != []
    assert problems(wanted, answer="none")[0].startswith("its result has no data")


def test_the_end_of_the_run_its_questions_cost_and_time_count():
    wanted = {"most_seconds": 5, "most_cost_usd": 0.1, "doubtful": False}
    found = problems(wanted, status="failed", reason="no model", doubtful=True, seconds=6, cost_usd=0.2)
    assert found == [
        "ends as failed, not complete: no model",
        "its result is doubtful",
        "takes 6.0 s, more than 5 s",
        "costs $0.2000, more than $0.1",
    ]
    assert problems({}, unexpected=["Send it?"], unasked=["amount"]) == [
        "asks: Send it?",
        "does not ask about `amount`",
    ]


def test_numbers_in_a_text():
    found = numbers("1,234.5 of 10, -3 or −4; v1.2 in 2024-05-01, 7% and 1e3")
    assert found == [1234.5, 10, -3, -4, 2024, 5, 1, 7, 1000]


def test_the_calls_of_a_journal_come_in_the_order_of_turns_with_their_outcomes():
    def turn(*tools):
        return {"reply": {"tool_requests": [{"name": tool, "arguments": "{}"} for tool in tools]}}

    journal = {
        "think-1/turn-10": turn("last"),
        "think-1/turn-2": turn("second", "third"),
        "think-1/turn-2/call-1": '{"result": 1}',
        "think-1/turn-2/call-2": '{"error": {"code": "x"}}',
        "think-1/turn-10/call-1/refused": "no",
        "think-1/turn-2/call-1/edited": {"arguments": '{"to": "bob"}'},
        "think-1/turn-3": {"reply": {"tool_requests": None}},
        "summary/1": "text",
    }
    found = calls_in("data", journal)
    assert [(each.tool, each.made, each.failed) for each in found] == [
        ("second", True, False),
        ("third", True, True),
        ("last", False, False),
    ]
    assert found[0].given == {"to": "bob"}


def test_acting_calls_of_code_count_and_those_of_turns_do_not_count_twice():
    def acting(place, outcome):
        known = {"work_id": "w", "agent": "data", "tool": "send", "effect": "irreversible", "digest": "d"}
        return ActingCall.model_validate(known | {"call": place, "outcome": outcome})

    found = calls_by_code(
        [acting("call-1", "made"), acting("think-1/turn-1/call-1", "made"), acting("call-2", "refused")]
    )
    assert [(each.made, each.failed) for each in found] == [(True, False), (False, False)]


def test_a_query_over_calls_and_data_decides():
    mail = call("send", to=["a@x", "b@x"])
    two = {"answer": [{"sql": "SELECT count(*) = 2 FROM calls, json_each(arguments, '$.to') WHERE made"}]}
    assert problems(two, mail) == []
    assert problems(two, mail, mail) == [f"its result does not meet {two['answer'][0]['sql']}: 0"]
    rows = {"answer": [{"sql": "SELECT json_extract(value, '$.n') > 1 FROM run, json_each(data, '$.rows')"}]}
    assert problems(rows, data={"rows": [{"n": 2}, {"n": 3}]}) == []
    assert problems(rows, data={"rows": [{"n": 2}, {"n": 1}]}) != []
    assert problems(rows, data={"rows": []})[0].endswith("no row")


@pytest.mark.parametrize(
    "query",
    [
        "SELECT",
        "SELECT 1, 2",
        "DELETE FROM calls",
        "SELECT 1; SELECT 1",
        "SELECT * FROM elsewhere",
        "ATTACH 'suite.db' AS other",
        "PRAGMA database_list",
        "SELECT load_extension('x')",
        "SELECT writefile('x', 'y')",
    ],
)
def test_a_query_that_could_do_more_than_read_the_run_is_refused_with_the_suite(query):
    with pytest.raises(ValueError, match=r"sql"):
        Case.model_validate({"name": "one", "objective": "do it", "expect": {"answer": [{"sql": query}]}})


def test_a_query_that_takes_too_long_is_interrupted(monkeypatch):
    monkeypatch.setattr("shared.evaluation.sql.LONGEST", 0.05)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 FROM calls UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    assert "interrupted" in problems({"answer": [{"sql": endless}]}, call("query"))[0]


def test_a_case_without_a_query_keeps_its_digest():
    case = Case.model_validate({"name": "one", "objective": "do it", "expect": {"answer": [{"contains": "x"}]}})
    assert "sql" not in case.model_dump_json()
