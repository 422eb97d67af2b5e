"""Several open questions, every answer, and the inbox, against a scripted gateway."""

import io
import json
import sys
from datetime import timedelta

import pytest
from rich.cells import cell_len
from rich.console import Console

from schemas import question_events as q
from schemas.api.runs import ApprovalPage, QuestionView
from schemas.budget import Budget, Usage
from schemas.question import Delegation, Offer, Stage, Terms, Vote
from services.cli.show import inbox
from services.cli.terminal import Screen
from tests.integration.cli.test_cli_approvals import DIGEST, PROPOSAL
from tests.support.fake_gateway import RUN, START, built, happened, moved, story, view

OFFERS = [Offer(answer=each, effect=f"effect of {each}") for each in ("approve", "edit", "respond", "reject", "skip")]
TERMS = Terms(
    stages=[Stage(groups=["finance"], needed=2), Stage(groups=["heads"])],
    separate=True,
    on_expiry="reject",
    undo=60,
    escalate_after=7200,
    escalate_to=["heads"],
)


def question(number=1, second=5, text="Send it?", **facts):
    known = {"run_id": RUN, "tenant": "default", "by": "orchestrator", "at": START + timedelta(seconds=second)}
    known |= {"request_id": f"{RUN}/help/{number}-abcdefghij", "about": "step", "step_id": "s1", "options": []}
    return q.HelpRequested(**(known | {"question": text, "kind": "question", "offers": OFFERS} | facts))


def asking(script, *views, state="WAITING_HUMAN"):
    script.runs[RUN] = view(state, waiting_for=views[0].asked, questions=list(views))


CALL = QuestionView(
    asked=question(kind="call", proposal=PROPOSAL, terms=TERMS, blocking=True, expires=START + timedelta(days=1)),
    votes=[Vote(by="ada", person="ada", reply="approve", answer="fine \x1b[2J", at=START)],
    groups=["finance"],
    delegations=[Delegation(by="ben", to="cleo")],
    reminded=2,
)
OTHER = QuestionView(asked=question(2, 6, "Which year?", choices=["2023", "2024"]))


def test_a_question_is_shown_with_its_answers_its_terms_and_the_votes_so_far(waggle, script):
    asking(script, CALL)
    shown = waggle("approvals", "show", RUN).stdout
    for each in (
        "the run waits for it",
        "2 people of finance, then 1 person of heads; not by the person who requested the task",
        "can be withdrawn for 60 s",
        "after 7200 s also heads",
        "2026-03-02 12:00:00Z, then it counts as rejected",
        "stage 1 of 2, asked of finance: 1 of 2 answers",
        "ada approve at 2026-03-01 12:00:00Z: fine",
        "ben to cleo",
        "effect of skip",
        f"waggle decide {RUN} edit --question 1-abcdefghij --digest {DIGEST[:12]}",
    ):
        assert each in shown
    assert "\x1b" not in shown


def test_the_status_of_a_waiting_run_names_every_answer_that_its_question_takes(waggle, script):
    asking(script, QuestionView(asked=question(options=["approve", "reject"])))
    noted = waggle("status", RUN).stderr
    assert "it takes: approve, edit, respond, reject, skip" in noted
    asking(script, QuestionView(asked=question(options=["approve", "reject"], offers=[], choices=["2023"])))
    noted = waggle("status", RUN).stderr
    assert "  - 2023" in noted
    assert "it takes: approve, reject" in noted


def test_without_a_name_several_questions_are_listed_and_none_is_answered(waggle, script):
    asking(script, CALL, OTHER)
    for command in (
        ["decide", RUN, "approve"],
        ["approvals", "reject", RUN, "--reason", "no"],
        ["delegate", RUN, "--to", "x"],
    ):
        ended = waggle(*command)
        assert ended.exit_code == 2
        assert "2 open questions: 1-abcdefghij: Send it?; 2-abcdefghij: Which year?" in ended.stderr
    assert script.commands == []
    shown = waggle("approvals", "show", RUN).stdout
    assert "Send it?" in shown
    assert "Which year?" in shown


@pytest.mark.parametrize("name", ["2", "2-abcdefghij", f"{RUN}/help/2-abcdefghij"])
def test_a_question_is_named_by_its_number_its_last_part_or_its_id(waggle, script, name):
    asking(script, CALL, OTHER, state="EXECUTING")
    assert waggle("decide", RUN, "respond", "--question", name, "--answer", "2024", "--by", "eva").exit_code == 0
    order = {"by": "eva", "request_id": OTHER.asked.request_id, "decision": "respond", "answer": "2024"}
    assert script.commands == [(RUN, "decisions", order)]


def test_an_unknown_question_or_an_answer_without_its_text_sends_nothing(waggle, script):
    asking(script, CALL, OTHER)
    unknown = waggle("decide", RUN, "approve", "--question", "3")
    assert (unknown.exit_code, "no open question 3" in unknown.stderr) == (2, True)
    empty = waggle("decide", RUN, "respond", "--question", "2")
    assert (empty.exit_code, "--answer TEXT" in empty.stderr) == (2, True)
    mixed = waggle("decide", RUN, "approve", "--question", "1", "--arguments", "-", input="{}")
    assert (mixed.exit_code, "belongs to the answer `edit`" in mixed.stderr) == (2, True)
    assert script.commands == []


@pytest.mark.parametrize("reply", ["approve", "reject", "skip"])
def test_every_answer_is_bound_to_the_call_that_is_asked_about(waggle, script, reply):
    asking(script, CALL)
    assert waggle("decide", RUN, reply, "--answer", "so").exit_code == 0
    sent = script.commands[-1][2]
    assert (sent["decision"], sent["digest"], sent["answer"]) == (reply, DIGEST, "so")


@pytest.fixture
def editor(tmp_path, monkeypatch):
    """An editor that writes another recipient, or the text of the variable."""
    script = tmp_path / "editor.py"
    script.write_text(
        "import json, os, pathlib, sys\n"
        "path = pathlib.Path(sys.argv[1])\n"
        "value = json.loads(path.read_text())\n"
        "new = os.environ.get('TEXT') or json.dumps(value | {'to': ['ada@example.org']})\n"
        "path.write_text(new)\n"
    )
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", f"{sys.executable} {script}")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "drafts"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "drafts"))
    (tmp_path / "drafts").mkdir()
    return tmp_path / "drafts"


@pytest.mark.parametrize("command", [["decide", RUN, "edit"], ["approvals", "approve", RUN, "--edit"]])
def test_the_arguments_are_edited_in_the_editor_and_sent_with_their_types(waggle, script, editor, command):
    asking(script, CALL)
    assert waggle(*command).exit_code == 0
    sent = script.commands[-1][2]
    assert (sent["decision"], sent["arguments"], sent["digest"]) == ("edit", {"to": ["ada@example.org"]}, DIGEST)
    assert list(editor.iterdir()) == []


def test_arguments_are_read_from_stdin_and_from_a_file(waggle, script, tmp_path):
    asking(script, CALL)
    assert waggle("decide", RUN, "edit", "--arguments", "-", input='{"to": [], "n": 1.5}').exit_code == 0
    (tmp_path / "new.json").write_text('{"to": ["x@example.org"]}')
    assert waggle("approvals", "approve", RUN, "--arguments", "new.json").exit_code == 0
    assert [each[2]["arguments"] for each in script.commands] == [{"to": [], "n": 1.5}, {"to": ["x@example.org"]}]
    assert (tmp_path / "new.json").exists()


def test_an_edit_that_changes_nothing_or_is_no_object_sends_nothing(waggle, script, editor, monkeypatch):
    asking(script, CALL)
    for text, said in ((PROPOSAL["arguments"], "nothing was changed"), ("[1]", "not a JSON object")):
        monkeypatch.setenv("TEXT", text)
        ended = waggle("decide", RUN, "edit")
        assert (ended.exit_code, said in ended.stderr) == (2, True)
    assert script.commands == []


def test_a_refused_edit_names_the_error_and_keeps_the_draft(waggle, script, editor):
    asking(script, CALL)
    script.refusal_of_command = (
        422,
        "invalid_arguments",
        "the edited arguments do not fit send_email: to",
        "change them",
    )
    ended = waggle("decide", RUN, "edit")
    assert ended.exit_code == 2
    [draft] = editor.iterdir()
    assert "do not fit send_email" in ended.stderr
    assert f"--arguments {draft}" in ended.stderr.replace("\n", "")


def test_a_question_about_no_call_cannot_be_edited_but_a_plan_can(waggle, script, editor, monkeypatch):
    asking(script, OTHER)
    ended = waggle("decide", RUN, "edit")
    assert (ended.exit_code, "nothing to edit" in ended.stderr) == (2, True)
    plan = {"steps": [{"id": "s1", "objective": "pay", "agent": "data", "risk": "critical"}], "rationale": ""}
    asked = QuestionView(asked=question(kind="plan", about="plan"))
    script.runs[RUN] = view("WAITING_HUMAN", waiting_for=asked.asked, questions=[asked], plan=plan)
    changed = plan | {"steps": [plan["steps"][0] | {"objective": "pay less"}]}
    monkeypatch.setenv("TEXT", json.dumps(changed))
    assert waggle("decide", RUN, "edit").exit_code == 0
    assert script.commands[-1][2]["arguments"]["steps"][0]["objective"] == "pay less"


def test_an_answer_is_withdrawn_from_the_question_that_has_one(waggle, script):
    asking(script, OTHER, CALL)
    assert waggle("withdraw", RUN, "--by", "ada").exit_code == 0
    assert script.commands == [(RUN, "decisions/withdraw", {"by": "ada", "request_id": CALL.asked.request_id})]


def test_a_question_is_passed_on_to_a_named_person(waggle, script):
    asking(script, OTHER)
    assert waggle("delegate", RUN, "--to", "cleo@example.org", "--by", "ada").exit_code == 0
    order = {"by": "ada", "request_id": OTHER.asked.request_id, "to": "cleo@example.org"}
    assert script.commands == [(RUN, "decisions/delegate", order)]


def test_a_refusal_of_the_gateway_is_shown_with_its_remedy(waggle, script):
    asking(script, CALL)
    message = "the answer is not taken: it is asked of another group: finance"
    script.refusal_of_command = (409, "not_awaited", message, "GET the run")
    ended = waggle("decide", RUN, "approve")
    assert (ended.exit_code, "another group: finance" in ended.stderr) == (2, True)


def listed(run, asked, **facts):
    fields = {"run_id": run, "objective": "o", "asked": asked, "usage": Usage(), "budget": Budget()}
    return fields | facts


RUN_ID = "run-b5f9e47068d95497889d94419ebcb039"
LONG = "Should " + "漢字 very long text " * 30


@pytest.fixture
def many(script):
    critical = PROPOSAL | {"risk": "critical"}
    questions = [
        listed(RUN_ID, question(1, 9, "the newest high", kind="call", proposal=PROPOSAL)),
        listed(RUN_ID, question(2, 8, LONG)),
        listed(RUN_ID, question(3, 7, "the oldest high", kind="call", proposal=PROPOSAL)),
        listed(
            RUN_ID, question(4, 30, "the \x1b]0;title\x07most\turgent", proposal=critical, kind="call", blocking=True)
        ),
    ]
    script.approvals = [built(ApprovalPage, {"approvals": questions, "next_offset": None})]
    return script


def test_a_pipe_gets_a_line_for_each_question_riskiest_first_then_oldest_first(waggle, many):
    for command in (["inbox"], ["approvals", "list"], ["approvals"]):
        ended = waggle(*command)
        cells = [line.split("\t") for line in ended.stdout.splitlines()]
        assert [each[5] for each in cells] == ["4", "3", "1", "2"]
        assert {len(each) for each in cells} == {7}
        assert cells[0][:2] == ["critical!", "call"]
        assert cells[0][6] == "send_email: the most urgent"
        assert cells[3][6] == LONG.strip(), "nothing is cut"
        assert "\x1b" not in ended.stdout


def test_the_json_of_the_inbox_has_the_questions_in_the_same_order(waggle, many):
    found = json.loads(waggle("inbox", "--json").stdout)
    assert [each["asked"]["request_id"].rpartition("/")[2][0] for each in found] == ["4", "3", "1", "2"]


@pytest.mark.parametrize("width", [100, 160])
def test_a_terminal_gets_one_line_of_at_most_100_columns_for_each_question(many, width):
    screen = Screen()
    screen.console = Console(file=io.StringIO(), force_terminal=True, width=width, markup=False, color_system=None)
    page = many.approvals[0]
    inbox.show_inbox(screen, page.approvals)
    lines = screen.console.file.getvalue().splitlines()
    assert len(lines) == 5
    assert max(map(cell_len, lines)) <= 100
    assert all(RUN_ID in line for line in lines[1:])


def test_a_watched_run_shows_its_questions_while_other_steps_proceed(waggle, script):
    script.add()
    given = happened(q.AnswerGiven, 7, request_id=OTHER.asked.request_id, vote=CALL.votes[0], effective=None)
    script.events[RUN] = [*story()[:-1], OTHER.asked, given, moved(9, "REVIEWING", "COMPLETE")]
    script.runs[RUN] = view("EXECUTING", waiting_for=OTHER.asked, questions=[OTHER])
    ended = waggle("watch", RUN)
    assert "asks a person (question; other steps proceed): Which year?" in ended.stdout
    assert "answers approve, more answers are needed: fine" in ended.stdout
    assert "waits for a person: Which year?" in ended.stderr
    assert "\x1b" not in ended.stdout
