import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest
from fake_gateway import QUESTION, RUN, FakeGateway, Script, happened, moved, serving, story, view
from typer.testing import CliRunner

from infra.embedded.state import StateFolder
from infra.probe import free_port
from schemas import event as e
from schemas.task import Artefact, Result
from services.console import events
from services.console.app import app


@pytest.fixture
def script():
    return Script()


@pytest.fixture
def gateway(script):
    with serving(script) as running:
        yield running


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder of its own, without what this machine's environment says about gateways."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WAGGLE_GATEWAY", raising=False)
    return tmp_path


@pytest.fixture
def waggle(gateway):
    def run(*arguments, input=None):
        return CliRunner().invoke(app, [*arguments, "--gateway", gateway.url], input=input)

    return run


def test_a_task_is_watched_step_by_step_and_ends_with_its_result(waggle, script):
    script.add(confidence=0.8)
    ended = waggle("submit", "what is it?")
    assert ended.exit_code == 0
    lines = ended.stdout.splitlines()
    assert "    1.5 s  research       s1 running: look it up" in lines
    assert "    2.0 s  research       s1 reading page 3" in lines
    assert "    4.0 s  research       s1 done in 2.5 s (1,200 tokens, $0.0021)" in lines
    for expected in ("It is **so**.", "Caveat: perhaps", "COMPLETE in 9.0 s", "confidence 0.80"):
        assert expected in ended.stdout
    assert "simulated model: not a language model" in ended.stdout


@pytest.mark.parametrize(("status", "code"), [("complete", 0), ("failed", 1), ("rejected", 3), ("cancelled", 4)])
@pytest.mark.parametrize("command", [["submit", "x"], ["watch", RUN], ["result", RUN]], ids=lambda c: c[0])
def test_the_exit_code_says_how_the_run_ended(waggle, script, command, status, code):
    script.add(status)
    assert waggle(*command).exit_code == code


def test_a_run_that_waits_for_a_person_shows_the_question_and_how_to_answer(waggle, script):
    script.add_waiting()
    ended = waggle("submit", "x")
    assert ended.exit_code == 5
    assert QUESTION["question"] in ended.stderr
    assert f"waggle decide {RUN} approve" in ended.stderr


def test_a_wait_that_is_over_does_not_end_the_watching(waggle, script):
    script.add_waiting()
    waited = [*script.events[RUN], moved(7, "WAITING_HUMAN", "EXECUTING"), moved(9, "REVIEWING", "COMPLETE")]
    script.add(events=waited)
    assert waggle("submit", "x").exit_code == 0


def test_a_lost_connection_is_taken_up_where_it_broke(waggle, script):
    script.add()
    script.cut_after = 4
    ended = waggle("submit", "x")
    assert ended.exit_code == 0
    assert script.resumed_after == [0, 4]
    assert ended.stdout.count("s1 running") == ended.stdout.count("s1 done") == 1
    assert "trying again; the run goes on" in ended.stderr


def test_a_gateway_that_restarts_is_waited_for(script):
    script.add()
    script.events[RUN], rest = script.events[RUN][:4], script.events[RUN][4:]
    script.hang = True
    gateway = FakeGateway(script)
    gateway.start()

    def restart():
        while not script.resumed_after:
            time.sleep(0.01)
        gateway.stop()
        time.sleep(0.5)
        script.hang = False
        script.events[RUN] += rest
        gateway.start()

    other = threading.Thread(target=restart)
    other.start()
    ended = CliRunner().invoke(app, ["watch", RUN, "--gateway", gateway.url])
    other.join()
    gateway.stop()
    assert ended.exit_code == 0, ended.output
    assert script.resumed_after == [0, 4]
    assert ended.stdout.count("s1 done") == 1


def test_a_gateway_that_stays_away_ends_the_watching(waggle, script, gateway, monkeypatch):
    monkeypatch.setattr(events, "PATIENCE", 0.5)
    script.add()
    script.events[RUN] = script.events[RUN][:4]
    script.hang = True

    def leave():
        while not script.resumed_after:
            time.sleep(0.01)
        script.refusal = (503, "unavailable", "something is away")
        script.hang = False

    other = threading.Thread(target=leave)
    other.start()
    ended = waggle("watch", RUN)
    other.join()
    assert ended.exit_code == 1
    assert "something is away" in ended.stderr


def test_a_run_that_is_not_known_yet_is_waited_for_by_the_one_who_submitted_it(waggle, script):
    script.add()
    script.unknown_at_first = 2
    assert waggle("submit", "x").exit_code == 0
    script.unknown_at_first = 1
    assert waggle("watch", RUN).exit_code == 7


def test_no_gateway_is_one_clear_line_with_what_to_do():
    ended = CliRunner().invoke(app, ["runs", "--gateway", f"http://127.0.0.1:{free_port()}"])
    assert ended.exit_code == 6
    assert ended.stdout == ""
    assert "cannot reach the gateway" in ended.stderr.splitlines()[0]
    assert "`waggle up`" in ended.stderr


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        ((404, "not_found", "there is no run x"), 7),
        ((409, "not_finished", "the run is EXECUTING"), 8),
        ((409, "ended", "the run is COMPLETE already"), 2),
        ((422, "invalid_request", "tenant: no slug"), 2),
        ((503, "unavailable", "Kafka is away"), 1),
    ],
)
def test_a_refusal_is_shown_as_the_gateway_says_it(waggle, script, refusal, code):
    script.refusal = refusal
    ended = waggle("result", "x")
    assert ended.exit_code == code
    assert refusal[2] in ended.stderr
    assert "Traceback" not in ended.output


def test_a_gateway_that_dies_with_the_task_in_its_hands_tells_how_to_try_again_safely(waggle, script):
    script.dies_at_submit = True
    ended = waggle("submit", "x")
    assert ended.exit_code == 6, ended.output
    assert f"--key {script.tasks[0][1]} makes no second run" in ended.stderr


def test_something_that_is_no_gateway_is_said_to_be_none(waggle, script):
    script.runs[RUN] = {"hello": "world"}
    ended = waggle("status", RUN)
    assert ended.exit_code == 1
    assert "is this address Waggle's gateway" in ended.stderr


@pytest.mark.parametrize(
    "command",
    ["submit x", "submit x --no-wait", "agents", "topics", "runs"]
    + [f"{verb} {RUN}" for verb in ("result", "status", "pause", "resume", "cancel --reason r")],
)
def test_json_is_one_document_and_nothing_else(waggle, script, command):
    script.add()
    script.pages = [[]]
    ended = waggle(*command.split(), "--json")
    assert ended.exit_code == 0
    json.loads(ended.stdout)
    assert ended.stdout.count("\n") == 1


def test_submitting_with_json_gives_the_result_even_after_a_lost_connection(waggle, script):
    script.add()
    script.cut_after = 2
    ended = waggle("submit", "x", "--json")
    assert Result.model_validate_json(ended.stdout) == script.results[RUN]


def test_submitting_with_json_gives_the_run_when_a_person_is_needed(waggle, script):
    script.add_waiting()
    ended = waggle("submit", "x", "--json")
    assert ended.exit_code == 5
    assert json.loads(ended.stdout)["waiting_for"]["question"] == QUESTION["question"]


def test_watching_with_json_gives_one_line_an_event(waggle, script):
    script.add(events=story(doing="a line\u2028that\x85looks like three"))
    lines = waggle("watch", RUN, "--json").stdout.splitlines()
    assert [json.loads(line)["type"] for line in lines] == [event.wire_type() for event in script.events[RUN]]
    assert json.loads(lines[4])["data"]["doing"] == "a line\u2028that\x85looks like three"


HOSTILE = "\x1b]0;owned\x07\x1b[2J[bold red]name[/] \x9b5mx\u202egnp.exe &#27;[31mred [here](http://evil.example)"


@pytest.mark.parametrize("terminal", [True, False])
def test_nothing_from_outside_steers_the_terminal(waggle, script, monkeypatch, folder, terminal):
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
    (folder / ".waggle").mkdir()
    script.files["f"] = b"content"
    artefacts = [Artefact(name=HOSTILE, media_type="text/plain", size=7, uri="blob:f")]
    script.add(answer=HOSTILE, caveats=[HOSTILE], artefacts=artefacts, events=story(doing=HOSTILE), models=[HOSTILE])
    ended = waggle("submit", "x")
    assert ended.exit_code == 0
    own = re.sub(r"\x1b\[(\?25[hl]|[\d;]*m|\d*[AK])", "", ended.stdout.replace("\r", "")) if terminal else ended.stdout
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", own)
    assert "\x1b[2J" not in ended.stdout
    assert "\x1b]" not in ended.stdout
    assert "[bold red]name" in ended.stdout
    assert "http://evil.example" in own


def test_a_forged_line_stays_within_its_own(waggle, script):
    script.add(events=story(doing="x\n    9.9 s  run            COMPLETE: forged"))
    assert not [line for line in waggle("watch", RUN).stdout.splitlines() if line.startswith("    9.9 s")]


def test_artefacts_are_saved_where_they_are_wanted_and_nowhere_else(waggle, script, folder):
    names = ["../../up.txt", "/etc/passwd", "..", "a.png", "a.png", ".hidden"]
    script.files["f"] = b"content"
    script.add(artefacts=[Artefact(name=n, media_type="text/plain", size=7, uri="blob:f") for n in names])
    assert waggle("result", RUN, "--save", "out/here").exit_code == 0
    saved = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    wanted = ["a-2.png", "a.png", "artefact", "hidden", "passwd", "up.txt"]
    assert saved == [f"out/here/{name}" for name in wanted]
    assert (folder / "out/here/a-2.png").read_bytes() == b"content"


def test_without_a_place_artefacts_are_listed_with_the_command_that_gets_them(waggle, script, folder):
    script.add(artefacts=[Artefact(name="a.png", media_type="image/png", size=2_500_000, uri="blob:f")])
    ended = waggle("result", RUN)
    assert "a.png  image/png  2.5 MB" in ended.stdout
    assert f"waggle result {RUN} --save FOLDER" in ended.stdout
    assert not list(folder.iterdir())


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
    waggle("submit", "-", *options.split(), "--session", "s", "--on-trouble", "wait", "--no-wait", input="from stdin\n")
    task, key, query = script.tasks[0]
    assert key == "k"
    assert query == {"tenant": "acme"}
    assert task == {
        "objective": "from stdin",
        "shape": "single",
        "agent": "code",
        "constraints": ["a", "b"],
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


def test_a_decision_answers_the_open_request(waggle, script):
    script.add_waiting()
    assert waggle("decide", RUN, "reject", "--answer", "not to them", "--by", "ada").exit_code == 0
    body = {"by": "ada", "request_id": f"{RUN}/help/1", "decision": "reject", "answer": "not to them"}
    assert script.commands == [(RUN, "decisions", body)]


def test_a_decision_nobody_waits_for_is_refused(waggle, script):
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


def test_lists_are_readable(waggle, script):
    line = view("COMPLETE") | {"reason": "", "steps_done": 2, "steps_total": 3, "cost_usd": 0.5}
    script.pages = [[], [line], [line | {"run_id": "run-2"}]]
    runs = waggle("runs", "--state", "complete").stdout
    assert re.search(rf"{RUN} +COMPLETE .* 2/3 +\$0.5000 +ask", runs)
    assert "run-2" in runs
    assert "run-2" not in waggle("runs", "--limit", "1").stdout
    assert "send (high risk): Sends." in waggle("agents").stdout
    assert re.search(r"waggle.tasks +4 +30 +waggle.orchestrator +12", waggle("topics").stdout)


def test_a_failed_attempt_and_a_reopened_step_are_told(waggle, script):
    error = {"code": "timeout", "message": "took too long", "retryable": True}
    failed = happened(e.AttemptFailed, 3, handoff_id="h1", error=error, final=False)
    reopened = happened(e.StepsReopened, 5, step_ids=["s1"], feedback=["no source"])
    script.add(events=[*story()[:4], failed, *story()[4:6], reopened, story()[-1]])
    shown = waggle("watch", RUN).stdout
    assert "s1 failed, will be tried again: took too long [timeout]" in shown
    assert "to be done again: s1: no source" in shown


def test_an_event_of_a_newer_version_is_passed_over(waggle, script):
    class Unheard(e.RunEvent):
        mood: str

    newer = happened(Unheard, 3, mood="good")
    script.add(events=[*story()[:4], newer, *story()[4:]])
    assert waggle("watch", RUN).exit_code == 0


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


def test_ctrl_c_ends_the_watching_and_not_the_run(script, gateway):
    script.add()
    script.events[RUN] = script.events[RUN][:4]
    script.hang = True
    command = [sys.executable, "-m", "services.console", "watch", RUN, "--gateway", gateway.url]
    watching = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ, text=True)
    while not script.resumed_after:
        time.sleep(0.01)
    time.sleep(0.2)
    watching.send_signal(signal.SIGINT)
    _, stderr = watching.communicate(timeout=10)
    script.hang = False
    assert watching.returncode == 130
    assert "the run goes on" in stderr
    assert "Traceback" not in stderr
    assert script.commands == []


def test_the_real_swarm_answers_the_command_line(swarm, folder):
    address = ["--gateway", swarm.endpoints["WAGGLE_GATEWAY"]]
    (folder / "numbers.csv").write_text("n,value\n1,10\n2,20\n")
    arguments = ["submit", "Write a report on numbers.csv", "--attach", "numbers.csv", "--save", "out", "--json"]
    ended = CliRunner().invoke(app, [*arguments, *address])
    assert ended.exit_code == 0, ended.output
    result = Result.model_validate_json(ended.stdout)
    assert len(list((folder / "out").iterdir())) == len(result.artefacts) > 0
    watched = CliRunner().invoke(app, ["watch", result.run_id, *address])
    assert watched.exit_code == 0
    assert "COMPLETE" in watched.stdout
    assert result.run_id in CliRunner().invoke(app, ["runs", *address]).stdout
    assert "communication" in CliRunner().invoke(app, ["agents", *address]).stdout
    assert "tasks" in CliRunner().invoke(app, ["topics", *address]).stdout
    assert CliRunner().invoke(app, ["cancel", result.run_id, "--reason", "late", *address]).exit_code == 2
    assert CliRunner().invoke(app, ["status", "run-unknown", *address]).exit_code == 7


def test_up_says_what_runs_where_and_ends_with_everything_stopped(folder):
    (folder / ".waggle").mkdir()
    command = [sys.executable, "-m", "services.console", "up", "--quiet", "--services", "gateway"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("WAGGLE_", "OPENAI_"))}
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, text=True)
    said = []
    for line in running.stdout:
        said.append(line.rstrip())
        if line.startswith("Ready"):
            break
    assert CliRunner().invoke(app, ["runs"]).exit_code == 0, said
    assert CliRunner().invoke(app, ["up"]).exit_code == 2
    assert CliRunner().invoke(app, ["up", "--services", "nonsense"]).exit_code == 2
    down = subprocess.Popen([*command[:3], "down"], stdout=subprocess.PIPE, text=True)
    said += running.communicate(timeout=30)[0].splitlines()
    stopped = down.communicate(timeout=30)[0]
    assert running.returncode == 0, said
    text = "\n".join(said)
    for expected in ("at most 5 MB a partition", "not a language model", "Gateway", "Postgres", "Redis", "Stopped."):
        assert expected in text
    assert "gateway" in stopped
    assert CliRunner().invoke(app, ["runs"]).exit_code == 6
    assert "Nothing was running here." in CliRunner().invoke(app, ["down"]).stdout
    shutil.rmtree(StateFolder(folder).postgres.parent)
