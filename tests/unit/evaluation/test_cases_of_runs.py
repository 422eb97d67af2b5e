"""Cases made of recorded runs: what they expect, what they hide, and how they are added to a suite."""

import json
from datetime import UTC, datetime

import pytest

from schemas.acting import ActingCall
from schemas.plan import Effect
from schemas.question import Reply
from schemas.task import Result, Task
from services.cli.evaluation.recorded import PersonsVerdict, RecordedRun, case_of, name_of
from shared.evaluation import Call, ExpectedQuestion, SuiteFault, check
from shared.evaluation.observed import Observed
from shared.evaluation.reading import suite_in
from shared.evaluation.writing import appended, as_suite, unused_name
from shared.guardrails.stand_ins import StandIns

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
PASSED = PersonsVerdict(passes=True)
MAIL = json.dumps(
    {
        "to": ["ada.lovelace@firm.com"],
        "subject": "Visitors",
        "cc": [],
        "attachments": ["blob:12ab"],
        "body": "A long letter. " * 20,
    }
)


def acting(tool: str) -> ActingCall:
    about = {"work_id": "run-1/s1", "call": "think-1/turn-2/call-1", "agent": "data", "source": None}
    return ActingCall.model_validate(
        about | {"tool": tool, "effect": Effect.IRREVERSIBLE, "arguments": MAIL, "digest": "d", "outcome": "made"}
    )


def recorded(*calls: Call, questions=(), **task) -> RecordedRun:
    given = {"objective": "Mail the visitors to ada.lovelace@firm.com", **task}
    about = {"run_id": "run-1", "task_id": "t", "tenant": "default", "status": "complete", "answer": "Done."}
    result = Result.model_validate(about | {"started": AT, "finished": AT, "acting_calls": [acting("send_email")]})
    return RecordedRun(Task.model_validate(given), result, calls, questions)


QUERY = Call(agent="data", tool="query", arguments='{"sql": "SELECT 1"}', made=True)
SEND = Call(agent="data", tool="send_email", arguments=MAIL, made=True)
STOPPED = Call(agent="data", tool="delete", arguments="{}", made=False)


def test_a_run_that_passed_is_expected_to_act_as_it_did():
    case = case_of(recorded(QUERY, QUERY, STOPPED, SEND), PASSED)
    expected = case.expect.model_dump(exclude_unset=True, mode="json")
    assert expected["in_order"] == [
        {"tool": "query"},
        {
            "tool": "send_email",
            "arguments": {"to": {"equals": ["person-1@example.com"]}, "subject": {"equals": "Visitors"}},
            "times": 1,
        },
    ]
    assert (expected["status"], expected["doubtful"]) == ("complete", False)
    assert case.objective == "Mail the visitors to person-1@example.com"


def test_calls_of_several_agents_have_no_order():
    case = case_of(recorded(QUERY, SEND.model_copy(update={"agent": "communication"})), PASSED)
    assert not case.expect.in_order
    assert [each.tool for each in case.expect.in_any_order] == ["query", "send_email"]


def test_a_case_judges_the_run_it_is_made_of_as_passed():
    run = recorded(QUERY, SEND)
    kept = run.task.model_copy(update={"objective": "Mail ada@example.com"})
    send = SEND.model_copy(update={"arguments": MAIL.replace("ada.lovelace@firm.com", "ada@example.com")})
    again = RecordedRun(kept, run.result, (QUERY, send))
    observed = Observed(status="complete", answer="Done.", calls=[QUERY, send])
    assert not check(case_of(again, PASSED), observed)
    twice = observed.model_copy(update={"calls": [QUERY, send, send]})
    assert check(case_of(again, PASSED), twice)


def test_a_run_that_failed_is_expected_to_end_without_its_fault():
    case = case_of(recorded(SEND), PersonsVerdict(passes=False, comment="Ask bob@firm.com: the total is wrong."))
    assert not case.expect.in_order
    assert case.expect.answer[0].judge.endswith("Ask person-2@example.com: the total is wrong.")


def test_answered_questions_are_expected_with_their_answers():
    asked = ExpectedQuestion(about="send_email", reply=Reply.RESPOND, answer="Use bob@firm.com.")
    [question] = case_of(recorded(SEND, questions=[asked]), PASSED).expect.questions
    assert question.answer == "Use person-2@example.com."


def test_a_question_is_known_by_its_words_before_personal_data_and_expected_once():
    asked = [
        ExpectedQuestion(about="May I write to bob@firm.com now?", reply=Reply.APPROVE),
        ExpectedQuestion(about="send_email", reply=Reply.REJECT),
        *[ExpectedQuestion(about="send_email", reply=Reply.APPROVE)] * 30,
    ]
    questions = case_of(recorded(SEND, questions=asked), PASSED).expect.questions
    assert [(each.about, each.reply) for each in questions] == [
        ("May I write to", Reply.APPROVE),
        ("send_email", Reply.REJECT),
    ]


def test_the_longest_run_expects_calls_that_act_alone():
    case = case_of(recorded(*([QUERY] * 60), SEND), PASSED)
    assert [each.tool for each in case.expect.in_order] == ["send_email"]


def test_secrets_and_personal_data_are_replaced_the_same_way_everywhere():
    hide = StandIns()
    text = "Key sk-proj-AbCdEf0123456789AbCdEf0123456789, IBAN DE89 3704 0044 0532 0130 00, Ada@Firm.com, ada@firm.com"
    hidden = hide.text(text)
    assert "sk-proj" not in hidden
    assert "3704" not in hidden
    assert hidden.count("person-1@example.com") == 2
    assert hide.value({"to": ["ada@firm.com", 7]}) == {"to": ["person-1@example.com", 7]}
    assert hide.text("oncall@example.com") == "oncall@example.com"


def test_a_name_is_made_of_the_objective():
    assert name_of("Summarise visitors.csv, and mail it to everybody!") == "summarise-visitors-csv-and-mail-it"
    assert name_of("早上好") == "case"


SUITE = """# Kept by hand.
suite: mails
cases:   # the daily ones
    - name: one
      objective: "Say  one"   # quoted

    - {name: two, objective: Say two}
# About the judge.
judge: {instructions: Be strict.}
"""


def test_a_case_is_added_at_the_end_of_the_list_and_nothing_else_changes():
    case = case_of(recorded(QUERY, SEND), PASSED, "three")
    added = appended(SUITE, case, "mails.yaml")
    assert [each.name for each in suite_in(added, "x").cases] == ["one", "two", "three"]
    assert [line for line in SUITE.splitlines() if line and line not in added.splitlines()] == []
    assert suite_in(added, "x").judge.instructions == "Be strict."


def test_a_printed_case_is_a_whole_suite():
    case = case_of(recorded(QUERY, SEND), PASSED)
    assert suite_in(as_suite(case, "recorded"), "x").cases == [case]


@pytest.mark.parametrize(
    "text", ["suite: a\ncases: [{name: one, objective: x}]\n", "suite: a\ncases: 3\n", "- nothing"]
)
def test_a_layout_that_a_case_cannot_be_added_to_is_refused(text):
    with pytest.raises(SuiteFault, match=r"a\.yaml"):
        appended(text, case_of(recorded(SEND), PASSED), "a.yaml")


def test_a_taken_name_gets_a_number():
    assert unused_name(SUITE, "one", "x") == "one-2"
    assert unused_name(SUITE, "four", "x") == "four"
