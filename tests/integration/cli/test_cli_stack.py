"""The command line against the real thing."""

import os
import re
import shutil
import subprocess
import sys

from typer.testing import CliRunner

from infra.embedded.state import StateFolder
from schemas.task import Result
from services.cli.app import app


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
    command = [sys.executable, "-m", "services.cli", "up", "--services", "gateway,orchestrator"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("WAGGLE_", "OPENAI_"))}
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, text=True)
    said = []
    for line in running.stdout:
        said.append(line.rstrip())
        if line.startswith("Ready"):
            break
    shown, logs = "\n".join(said), folder / ".waggle" / "logs"
    for name, hidden in (("redis", "Redis is starting"), ("orchestrator", "blackboard_not_verified")):
        assert hidden in (logs / f"{name}.log").read_text()
        assert hidden not in shown
    assert re.search(r"^orchestrator +started", shown, re.MULTILINE)
    assert CliRunner().invoke(app, ["runs"]).exit_code == 0, said
    assert CliRunner().invoke(app, ["up"]).exit_code == 2
    assert CliRunner().invoke(app, ["up", "--services", "nonsense"]).exit_code == 2
    down = subprocess.Popen([*command[:3], "down"], stdout=subprocess.PIPE, text=True)
    said += running.communicate(timeout=30)[0].splitlines()
    stopped = down.communicate(timeout=30)[0]
    assert running.returncode == 0, said
    text = "\n".join(said)
    for expected in ("5 MB per partition", "not a language model", "Gateway", "Postgres", "Redis", "Stopped."):
        assert expected in text
    assert "gateway" in stopped
    assert CliRunner().invoke(app, ["runs"]).exit_code == 6
    assert "Nothing was running here." in CliRunner().invoke(app, ["down"]).stdout
    shutil.rmtree(StateFolder(folder).postgres.parent)
