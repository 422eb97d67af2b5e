"""Output and saved files of the command line."""

import json
import re

import pytest

from schemas import event as e
from schemas import step_events
from schemas.conflict import Conflict, Position
from schemas.task import Artefact, Result
from tests.support.fake_gateway import QUESTION, RUN, happened, story, view


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
    said = {"subject": HOSTILE, "resolved": False, "resolution": HOSTILE, "reason": HOSTILE}
    conflicts = [Conflict(**said, positions=[Position(step_id=each, says=HOSTILE) for each in ("s1", "s2")])]
    told = {"answer": HOSTILE, "caveats": [HOSTILE], "models": [HOSTILE], "conflicts": conflicts}
    script.add(**told, artefacts=artefacts, events=story(doing=HOSTILE))
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


def test_lists_are_readable(waggle, script):
    shared = view("COMPLETE").model_dump(include={"run_id", "state", "objective", "started", "finished", "reason"})
    line = shared | {"steps_done": 2, "steps_total": 3, "cost_usd": 0.5}
    script.pages = [[], [line], [line | {"run_id": "run-2"}]]
    runs = waggle("runs", "--state", "complete").stdout
    assert re.search(rf"{RUN} +COMPLETE .* 2/3 +\$0.5000 +ask", runs)
    assert "run-2" in runs
    assert "held up" not in runs
    script.pages = [[line | {"state": "EXECUTING", "finished": None, "held_up": "data \x1b[2Jis frozen"}]]
    assert "held up: data is frozen" in waggle("runs").stdout
    script.pages = [[], [line], [line | {"run_id": "run-2"}]]
    assert "run-2" not in waggle("runs", "--limit", "1").stdout
    script.pages = [[]]
    assert "No runs yet" in waggle("runs").stdout
    assert "No run matches" in waggle("runs", "--state", "failed").stdout
    assert "send (high risk): Sends." in waggle("agents").stdout


def test_a_failed_attempt_and_a_reopened_step_are_shown(waggle, script):
    error = {"code": "timeout", "message": "took too long", "retryable": True}
    failed = happened(step_events.AttemptFailed, 3, handoff_id="h1", error=error, final=False)
    reopened = happened(step_events.StepsReopened, 5, step_ids=["s1"], feedback=["no source"])
    script.add(events=[*story()[:4], failed, *story()[4:6], reopened, story()[-1]])
    shown = waggle("watch", RUN).stdout
    assert "s1 failed, will be retried: took too long [timeout]" in shown
    assert "to be redone: s1: no source" in shown


def test_an_event_of_a_newer_version_is_passed_over(waggle, script):
    class Unheard(e.RunEvent):
        mood: str

    newer = happened(Unheard, 3, mood="good")
    script.add(events=[*story()[:4], newer, *story()[4:]])
    assert waggle("watch", RUN).exit_code == 0
