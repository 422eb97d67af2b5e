"""A conversation at the command line with piped input, and the list of conversations."""

from datetime import UTC, datetime, timedelta

from schemas.api.sessions import SessionView
from schemas.conversation import ConversationTurn
from tests.support.fake_gateway import QUESTION, RUN

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def session(name: str = "trip", **facts) -> SessionView:
    about = {"run_id": RUN, "objective": "where\x1b[2J to?", "status": "complete", "answer": "To **Rome**."}
    turn = ConversationTurn(**about, agents=["research"], started=AT)
    known = {"session": name, "tenant": "default", "turns": 3, "last": turn, "recent": [turn]}
    return SessionView.model_validate(known | {"expires": AT + timedelta(days=7)} | facts)


def test_each_line_is_a_task_of_the_session_and_its_answer_is_shown(waggle, script):
    script.add(confidence=0.8)
    ended = waggle("chat", "--session", "trip", "--agent", "research", input="where to?\n\nand then?\n")
    assert ended.exit_code == 0
    bodies = [body for body, _, _ in script.tasks]
    assert [(body["objective"], body["session"], body["agent"]) for body in bodies] == [
        ("where to?", "trip", "research"),
        ("and then?", "trip", "research"),
    ]
    assert len({key for _, key, _ in script.tasks}) == 2
    assert ended.stdout.count("It is **so**.") == 2
    assert "Continue with: waggle chat --session trip" in ended.stdout


def test_a_conversation_without_a_name_gets_one_and_new_begins_another(waggle, script):
    script.add()
    waggle("chat", input="a\n/new\nb\n/new trip\nc\n//quit\n")
    names = [body["session"] for body, _, _ in script.tasks]
    assert names[0] != names[1]
    assert names[2:] == ["trip", "trip"]
    assert script.tasks[-1][0]["objective"] == "/quit"


def test_commands_help_show_the_history_end_and_leave(waggle, script):
    script.sessions["trip"] = session()
    ended = waggle("chat", "--session", "trip", input="/help\n/history\n/end\n/nonsense\n/quit\nnot read\n")
    assert "/history" in ended.stdout
    assert "2 older turns are not shown" in ended.stdout
    assert "you> where to?" in ended.stdout
    assert "To **Rome**." in ended.stdout
    assert "\x1b[2J" not in ended.output
    assert [order[:2] for order in script.orders] == [("trip", "end")]
    assert "there is no command /nonsense" in ended.stderr
    assert (ended.exit_code, script.tasks) == (2, [])


def test_a_question_of_the_run_is_answered_in_the_conversation(waggle, script):
    script.add_waiting()
    ended = waggle("chat", input="send it\nperhaps\nreject not now\n")
    assert QUESTION["question"] in ended.stdout
    assert "`perhaps` is no answer" in ended.stderr
    [(run, verb, order)] = script.commands
    assert (run, verb, order["decision"], order["answer"]) == (RUN, "decisions", "reject", "not now")
    assert order["request_id"] == f"{RUN}/help/1"


def test_a_question_may_be_left_for_later(waggle, script):
    script.add_waiting()
    ended = waggle("chat", input="send it\nlater\n")
    assert ended.exit_code == 5
    assert f"waggle approvals approve {RUN}" in ended.stderr
    assert script.commands == []


def test_a_failure_is_reported_and_the_conversation_continues(waggle, script):
    script.refusal = (429, "rate_limited", "too many tasks", "repeat the request in 5 s")
    ended = waggle("chat", input="a\nb\n")
    assert ended.stderr.count("too many tasks") == 2
    assert ended.exit_code != 0


def test_json_has_one_result_a_line_and_remarks_on_stderr(waggle, script):
    script.add()
    ended = waggle("chat", "--json", input="a\n")
    assert '"answer": "It is **so**."' in ended.stdout
    assert "Session" not in ended.stdout


def test_sessions_are_listed_shown_and_ended(waggle, script):
    said = [{"content": f"said {n}\x1b[2J", "run_id": RUN, "at": AT, "origins": ["page:x"] * n} for n in range(2)]
    script.sessions["trip"] = session(facts=said)
    script.sessions["done"] = session("done", last=None, recent=[], turns=0, ended={"by": "ada", "at": AT})
    listed = waggle("sessions", "list").stdout
    assert "trip" in listed
    assert "ended by ada" in listed
    shown = waggle("sessions", "show", "trip").stdout
    assert "To **Rome**." in shown
    assert "\x1b" not in shown.replace("\\x1b", "")
    assert [line.endswith("(untrusted)") for line in shown.splitlines() if line.startswith("- said")] == [False, True]
    ended = waggle("sessions", "end", "trip", "--by", "ada")
    assert ended.exit_code == 0
    assert script.orders == [("trip", "end", {"by": "ada"})]


def test_an_unknown_session_is_an_error_of_its_own(waggle):
    ended = waggle("sessions", "show", "nowhere")
    assert ended.exit_code == 7
    assert "nowhere" in ended.stderr
    assert "waggle sessions list" in ended.stderr
