"""Dead letters from the command line."""

import json
import re
import sys
import tempfile
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.fake_gateway import dead_letter, handled

NAME = "tasks.dlt/0/17"


def test_a_list_is_readable_and_says_that_there_may_be_more(waggle, script):
    script.dead = {NAME: dead_letter(NAME, message="\x1b[2Jno\nuse")}
    script.complete = False
    ended = waggle("dlq", "list")
    assert ended.exit_code == 0
    assert re.search(rf"{NAME} .* defect +3 +shop +open +no use", ended.stdout)
    assert "There may be more; 1,200 older records were not searched" in ended.stderr
    script.dead, script.complete = {}, True
    ended = waggle("dlq", "list")
    assert "No dead letter matches" in ended.stdout
    assert ended.stderr == ""


def test_filters_reach_the_gateway_and_no_tenant_is_all_tenants(waggle, script):
    waggle("dlq", "list")
    options = (
        "--topic tasks --error defect --tenant shop --since 2h --until 2026-03-31T17:00+02:00 --state ANY --limit 7"
    )
    waggle("dlq", "list", *options.split())
    bare, full = script.searches
    assert bare == {"state": "open", "limit": "50"}
    since = datetime.fromisoformat(full.pop("since"))
    assert timedelta() < datetime.now(UTC) - timedelta(hours=2) - since < timedelta(minutes=1)
    assert datetime.fromisoformat(full.pop("until")) == datetime(2026, 3, 31, 15, tzinfo=UTC)
    assert full == {"topic": "tasks", "error": "defect", "tenant": "shop", "state": "any", "limit": "7"}


def test_everything_about_one_is_shown(waggle, script):
    order = {"by": "ada", "reason": "fixed"}
    script.dead[NAME] = dead_letter(
        NAME,
        came_from="tasks.dlt/0/3",
        redriven_by="grace",
        state="redriven",
        handled=handled(NAME, "redriven", order),
        causes=[{"code": "timeout"}],
        payload={"base64": "/w=="},
    )
    shown = waggle("dlq", "show", NAME).stdout
    for expected in (
        "no use [defect]",
        "tasks/1/9",
        "orchestrator 0.1.0",
        "timeout",
        "ab12",
        "tasks.dlt/0/3, redriven by grace",
        "redriven by ada at",
        "fixed",
        "ce_id: t1",
        "base64:/w==",
    ):
        assert expected in shown


def test_one_is_put_back_or_given_up_by_whom_and_why(waggle, script):
    script.dead[NAME] = dead_letter(NAME)
    ended = waggle("dlq", "redrive", NAME, "--by", "ada")
    assert ended.exit_code == 0
    assert f"{NAME} was redriven by ada" in ended.stdout
    assert "discarded by ada" in waggle("dlq", "discard", NAME, "--by", "ada", "--reason", "theirs").stdout
    assert script.orders == [
        (NAME, "redrive", {"by": "ada", "reason": "", "again": False}),
        (NAME, "discard", {"by": "ada", "reason": "theirs"}),
    ]


def test_letters_already_dealt_with_have_their_own_exit_code_and_can_be_forced(waggle, script):
    script.dead[NAME] = dead_letter(NAME, handled=handled(NAME, "redriven", {"by": "grace", "reason": ""}))
    for more in ([], ["--dry-run"]):
        ended = waggle("dlq", "redrive", NAME, *more)
        assert ended.exit_code == 9
        assert "redriven by grace" in ended.stderr
        assert "--again" in ended.stderr
    assert waggle("dlq", "redrive", NAME, "--again", "--reason", "lost").exit_code == 0
    assert script.orders[-1][2]["again"] is True


def test_a_dry_run_of_one_sends_no_order(waggle, script):
    script.dead[NAME] = dead_letter(NAME)
    assert f"Would redrive {NAME} to tasks: no use [defect]" in waggle("dlq", "redrive", NAME, "--dry-run").stdout
    assert f"Would discard {NAME}: no" in waggle("dlq", "discard", NAME, "--reason", "r", "--dry-run").stdout
    assert script.orders == []


def test_many_letters_are_reported_one_by_one_and_a_failure_is_the_exit_code(waggle, script):
    script.many = [("tasks.dlt/0/1", "redriven"), ("tasks.dlt/0/2", "skipped")]
    ended = waggle("dlq", "redrive", "--error", "defect", "--rate", "5", "--by", "ada", "--dry-run")
    assert ended.exit_code == 0
    assert ended.stdout.splitlines() == ["1 of 2  tasks.dlt/0/1  redriven", "2 of 2  tasks.dlt/0/2  skipped: ab"]
    letters = {"error": "defect", "limit": 1000}
    order = {"by": "ada", "reason": "", "letters": letters, "rate": 5.0, "dry_run": True}
    assert script.orders == [(None, "redrive", order)]
    script.many.append(("tasks.dlt/0/3", "failed"))
    assert waggle("dlq", "discard", "--all", "--reason", "r").exit_code == 1
    script.many, script.complete = [], False
    ended = waggle("dlq", "redrive", "--all")
    assert ended.exit_code == 0
    assert "No open dead letter matches" in ended.stdout
    assert "There may be more" in ended.stderr


def test_a_gateway_that_dies_among_many_is_said_to_be_gone(waggle, script):
    script.many, script.dies_after = [("tasks.dlt/0/1", "redriven"), ("tasks.dlt/0/2", "redriven")], 1
    ended = waggle("dlq", "redrive", "--all")
    assert ended.exit_code == 6
    assert "1 of 2  tasks.dlt/0/1  redriven" in ended.stdout
    assert "cannot reach the gateway" in ended.stderr
    assert "repeat the command to continue with the rest" in ended.stderr


@pytest.mark.parametrize(
    "command",
    [
        "list",
        f"show {NAME}",
        f"redrive {NAME}",
        f"redrive {NAME} --dry-run",
        "redrive --all",
        "discard --all --reason r",
    ],
)
def test_json_is_one_document_and_nothing_else(waggle, script, command):
    script.dead[NAME] = dead_letter(NAME)
    script.many = [(NAME, "redriven")]
    ended = waggle("dlq", *command.split(), "--json")
    assert ended.exit_code == 0
    assert json.loads(ended.stdout)
    assert ended.stdout.count("\n") == 1


@pytest.mark.parametrize(
    "wrong",
    [
        "redrive",
        "redrive --all --topic tasks",
        f"redrive {NAME} --all",
        f"redrive {NAME} --error x",
        f"redrive {NAME} --again",
        "redrive --all --again --reason r",
        "redrive --all --rate 0",
        "redrive tasks.dlt/17",
        "redrive tasks.dlt/a/b",
        "redrive --since yesterday",
        "redrive --since 999999999d",
        f"discard {NAME}",
        "list --state closed",
        "show",
        "show tasks/0/1/2",
        "dance",
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(waggle, script, wrong):
    ended = waggle("dlq", *wrong.split())
    assert ended.exit_code == 2, ended.output
    assert script.orders == script.searches == []
    assert "Traceback" not in ended.output


def test_one_that_is_not_there_is_not_found_and_the_way_to_those_there_are_is_shown(waggle):
    ended = waggle("dlq", "show", NAME)
    assert ended.exit_code == 7
    assert "waggle dlq list --state any" in ended.stderr


EDITABLE = {"payload": {"text": '{"objectve": "count \\u202e", "token": "***"}'}, "editable": ["objective"]}


@pytest.fixture
def editor(tmp_path, monkeypatch):
    """An editor that corrects the word and keeps what it was given."""
    script = tmp_path / "editor.py"
    seen = tmp_path / "seen.json"
    script.write_text(
        "import pathlib, shutil, sys\npath = pathlib.Path(sys.argv[1])\n"
        f"shutil.copy(path, {str(seen)!r})\npath.write_text(path.read_text().replace('objectve', 'objective'))\n"
        f"pathlib.Path({str(tmp_path / 'mode')!r}).write_text(oct(path.stat().st_mode & 0o777))\n"
    )
    monkeypatch.setenv("EDITOR", f"{sys.executable} {script}")
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return seen


def test_one_is_corrected_in_the_editor_and_redriven(waggle, script, editor, tmp_path):
    script.dead[NAME] = dead_letter(NAME, **EDITABLE)
    ended = waggle("dlq", "edit", NAME, "--by", "ada", "--reason", "misspelt")
    assert ended.exit_code == 0, ended.output
    assert 'objective: (absent) → "count"' in ended.stdout
    assert "was edited and redriven by ada" in ended.stdout
    [(_, verb, order)] = script.orders
    assert verb == "edit"
    assert order["value"] == {"objective": "count \u202e", "token": "***"}
    assert "\\u202e" in editor.read_text(), "what turns text around is shown as an escape"
    assert (tmp_path / "mode").read_text() == "0o600"
    assert not list(tmp_path.glob("waggle-dead-letter-*")), "the draft is removed"


def test_a_refused_edit_keeps_the_draft_for_the_next_try(waggle, script, editor, tmp_path):
    script.dead[NAME], script.refusal_of_edit = dead_letter(NAME, **EDITABLE), "budget.tokens: too small"
    ended = waggle("dlq", "edit", NAME, "--reason", "misspelt")
    assert ended.exit_code == 2
    assert "budget.tokens: too small" in ended.stderr
    [draft] = tmp_path.glob("waggle-dead-letter-*")
    assert f"--file {draft}" in ended.stderr.replace("\n", "")
    script.refusal_of_edit = None
    ended = waggle("dlq", "edit", NAME, "--reason", "misspelt", "--file", str(draft), "--dry-run")
    assert "nothing was sent" in ended.stdout
    assert script.orders[-1][2]["dry_run"] is True
    assert draft.exists(), "a file of the caller is left where it is"


@pytest.mark.parametrize(
    ("letter", "options", "says"),
    [
        ({"not_editable": "an order of a person"}, "", "an order of a person"),
        (EDITABLE, "--file none.json", "none.json"),
        (EDITABLE, "--file list.json", "not a JSON object"),
        (EDITABLE, "--file nan.json", "NaN"),
        (EDITABLE, "", "EDITOR"),
    ],
)
def test_an_edit_that_cannot_be_read_or_made_sends_nothing(
    waggle, script, tmp_path, monkeypatch, letter, options, says
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in ("VISUAL", "EDITOR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "nan.json").write_text('{"a": NaN}')
    script.dead[NAME] = dead_letter(NAME, **letter)
    ended = waggle("dlq", "edit", NAME, "--reason", "x", *options.split())
    assert ended.exit_code == 2
    assert says in ended.stderr
    assert script.orders == []
