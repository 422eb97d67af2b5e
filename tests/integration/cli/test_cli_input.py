"""Requests of the command line."""

import pytest
from typer.testing import CliRunner

from infra.probe import free_port
from services.cli.app import app
from tests.support.fake_gateway import RUN


def test_files_and_folders_are_uploaded_and_named_in_the_task(waggle, script, folder):
    (folder / "data" / "sub").mkdir(parents=True)
    for name in ("one.csv", "data/two.md", "data/sub/three.txt", "data/.secret"):
        (folder / name).write_text(name)
    (folder / "data" / "link").symlink_to("/etc/passwd")
    script.add()
    waggle("submit", "x", "--attach", "one.csv", "--attach", "data", "--no-wait")
    assert [(name, kind) for name, kind, _ in script.uploads] == [
        ("one.csv", "text/csv"),
        ("sub-three.txt", "text/plain"),
        ("two.md", "text/markdown"),
    ]
    task = script.tasks[0][0]
    assert [each["name"] for each in task["context"]["attachments"]] == ["one.csv", "sub-three.txt", "two.md"]


def test_every_option_reaches_the_task(waggle, script):
    script.add()
    options = "--agent code --constraint a --constraint b --tenant acme --key k --seconds 30 --priority high --dry-run"
    options += " --destination ada@example.org --destination hooks.example.org --session s --on-trouble wait --no-wait"
    waggle("submit", "-", *options.split(), input="from stdin\n")
    task, key, query = script.tasks[0]
    assert key == "k"
    assert query == {"tenant": "acme"}
    assert task == {
        "objective": "from stdin",
        "shape": "single",
        "agent": "code",
        "constraints": ["a", "b"],
        "destinations": ["ada@example.org", "hooks.example.org"],
        "tenant": "acme",
        "budget": {"seconds": 30.0},
        "priority": "high",
        "dry_run": True,
        "session": "s",
        "idempotency_key": "k",
        "on_trouble": "wait",
    }


@pytest.mark.parametrize(
    "wrong",
    [
        ["submit", " "],
        ["submit", "x", "--attach", "missing.csv"],
        ["submit", "x", "--shape", "single"],
        ["submit", "x", "--deadline", "tomorrow"],
        ["submit", "x", "--seconds", "0"],
        ["submit", "x", "--tenant", "Not A Slug"],
        ["submit", "x", "--attach", "a/same.txt", "--attach", "b/same.txt"],
        ["submit", "x", "--attach", "empty"],
        ["decide", RUN, "perhaps"],
        ["cancel", RUN],
        ["runs", "--state", "NOWHERE"],
        ["dance"],
    ],
    ids=" ".join,
)
def test_bad_input_is_refused_before_anything_is_sent(waggle, script, folder, wrong):
    for name in ("a", "b", "empty"):
        (folder / name).mkdir()
    for name in ("a", "b"):
        (folder / name / "same.txt").touch()
    ended = waggle(*wrong)
    assert ended.exit_code == 2
    assert script.tasks == script.uploads == script.commands == []
    assert "Traceback" not in ended.output
    assert "the task: Value error" not in ended.output


def test_a_decision_answers_the_open_request(waggle, script):
    script.add_waiting()
    assert waggle("decide", RUN, "reject", "--answer", "not to them", "--by", "ada").exit_code == 0
    body = {"by": "ada", "request_id": f"{RUN}/help/1", "decision": "reject", "answer": "not to them"}
    assert script.commands == [(RUN, "decisions", body)]


def test_a_decision_that_no_run_awaits_is_refused(waggle, script):
    script.add()
    assert waggle("decide", RUN, "approve").exit_code == 2
    assert script.commands == []


def test_commands_carry_who_and_why(waggle, script):
    for command in (["cancel", RUN, "--reason", "enough"], ["pause", RUN, "--reason", "lunch"], ["resume", RUN]):
        assert waggle(*command, "--by", "ada").exit_code == 0
    assert script.commands == [
        (RUN, "cancel", {"by": "ada", "reason": "enough"}),
        (RUN, "pause", {"by": "ada", "reason": "lunch"}),
        (RUN, "resume", {"by": "ada"}),
    ]


def test_the_gateway_is_found_from_a_folder_below(script, gateway, folder, monkeypatch):
    script.pages = [[]]
    (folder / ".waggle").mkdir()
    (folder / ".waggle" / "endpoints.env").write_text(f"WAGGLE_KAFKA=x:1\nWAGGLE_GATEWAY={gateway.url}\n")
    below = folder / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert CliRunner().invoke(app, ["runs"]).exit_code == 0
    monkeypatch.setenv("WAGGLE_GATEWAY", f"http://127.0.0.1:{free_port()}")
    assert CliRunner().invoke(app, ["runs"]).exit_code == 6
    assert CliRunner().invoke(app, ["runs", "--gateway", gateway.url]).exit_code == 0
