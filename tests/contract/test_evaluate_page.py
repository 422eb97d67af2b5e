"""The examples of docs/evaluate.md and the bundled suites are valid, and the commands take their options."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli.app import app
from services.cli.evaluation.loading import load
from shared.evaluation import Case, Expectation
from shared.evaluation.case import AnswerCheck
from shared.evaluation.comparing import ALPHA
from shared.evaluation.reading import suite_in

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "evaluate.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
SUITES = [text for language, text in BLOCKS if language == "yaml"]
COMMANDS = [line for language, text in BLOCKS if language == "bash" for line in text.splitlines()]


@pytest.mark.parametrize("text", SUITES, ids=lambda text: text.split()[1])
def test_a_suite_of_the_page_is_valid(text):
    assert suite_in(text, "page.yaml").cases


@pytest.mark.parametrize("path", sorted((ROOT / "infra" / "suites").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_bundled_suite_is_valid_with_its_files_and_is_on_the_page(path):
    loaded = load(path)
    assert loaded.suite.suite == path.stem
    assert f"| `{path.stem}` |" in PAGE


def test_the_page_names_every_field():
    for name in (*Case.model_fields, *Expectation.model_fields, *AnswerCheck.model_fields):
        assert re.search(rf"`{name}\b|\b{name}:", PAGE), name
    assert f"p < {ALPHA}" in PAGE


def test_the_commands_of_the_page_take_their_options():
    lines = [shlex.split(line) for line in COMMANDS if line.startswith("waggle")]
    assert len(lines) == 4
    for _, group, name, *options in lines:
        help_text = CliRunner().invoke(app, [group, name, "--help"], env={"COLUMNS": "200"}).stdout
        assert all(option in help_text for option in options if option.startswith("--")), name
