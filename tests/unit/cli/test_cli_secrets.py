"""Error output of the command line contains no secret of its environment."""

import os
import subprocess
import sys

import pytest

from services.cli.api.answers import UnreachableError
from services.cli.exit_codes import CommandError

SECRET = "s3cr3t-Zx81kQ"

DEFECT = """
import services.cli.__main__ as entry, services.cli.commands.runs as commands
def runs(): raise RuntimeError("lost " + {secret!r} + "\\x1b[31m")
commands.runs = runs
entry.main()
"""


def waggle(*arguments, variable="WAGGLE_KEY", program=("-m", "services.cli")):
    return subprocess.run(
        [sys.executable, *program, *arguments],
        env=os.environ | {variable: SECRET, "COLUMNS": "300"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("variable", ["WAGGLE_KEY", "OPENAI_API_KEY", "WAGGLE_KAFKA_PASSWORD"])
def test_an_error_that_repeats_a_secret_is_shown_without_it(variable):
    ended = waggle("submit", "x", "--deadline", SECRET, variable=variable)
    assert ended.returncode == 2
    assert "`***` is not a time" in ended.stderr
    assert SECRET not in ended.stdout + ended.stderr


@pytest.mark.parametrize("arguments", [("runs", "--state", SECRET), (SECRET,), ("runs", f"--{SECRET}")])
def test_a_usage_error_that_repeats_a_secret_is_shown_without_it(arguments):
    ended = waggle(*arguments)
    assert ended.returncode == 2
    assert "Usage:" in ended.stderr
    assert SECRET not in ended.stdout + ended.stderr


def test_the_traceback_of_a_defect_has_neither_secrets_nor_escape_sequences():
    ended = waggle("runs", program=("-c", DEFECT.format(secret=SECRET)))
    assert ended.returncode == 1
    assert "RuntimeError: lost ***" in ended.stderr
    assert "this is a bug" in ended.stderr
    assert SECRET not in ended.stdout + ended.stderr
    assert "\x1b" not in ended.stderr


@pytest.mark.parametrize(
    "error",
    [
        lambda: CommandError(f"refused {SECRET}", f"try {SECRET}"),
        lambda: UnreachableError(f"http://me:{SECRET}@gateway", f"bad header {SECRET}", asked=False),
    ],
)
def test_an_error_holds_no_secret_wherever_it_is_shown(error, monkeypatch):
    monkeypatch.setenv("WAGGLE_KEY", SECRET)
    raised = error()
    assert SECRET not in f"{raised} {raised.message} {raised.action} {raised.args}"
