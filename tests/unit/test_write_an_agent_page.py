"""The agent on the page about writing agents, copied over a new agent, passes its test, the linter and mypy."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from infra.new_agent.__main__ import make

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "write-an-agent.md").read_text()


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """A new agent with the files of the page, each under the name that precedes it."""
    folder = tmp_path_factory.mktemp("copied")
    make("translator", folder)
    (folder / "services" / "__init__.py").touch()
    files = dict(re.findall(r"`([a-z_/]+\.(?:py|md))`[^`\n]*:\n\n```(?:python|markdown)\n(.*?)```", PAGE, re.DOTALL))
    assert [Path(name).name for name in files] == [
        *["agent.py", "instructions.md", "settings.py", "tools.py", "test_translator_agent.py"]
    ]
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def run(folder, *command):
    paths = f"{folder}{os.pathsep}{ROOT}"
    environment = os.environ | {"PYTHONPATH": paths, "MYPYPATH": paths}
    command = [sys.executable, "-m", *command]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_copied_agent_passes_the_copied_test(copied):
    ran = run(copied, "pytest", "-q", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto", "--rootdir", ".", "tests")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "3 passed" in ran.stdout


def test_the_linter_and_the_type_checker_find_nothing_in_the_copied_agent(copied):
    sources = f"src = {[str(copied), str(ROOT)]}"
    linted = run(copied, "ruff", "check", "--config", ROOT / "pyproject.toml", "--config", sources, "services", "tests")
    assert linted.returncode == 0, linted.stdout
    options = ["--config-file", ROOT / "pyproject.toml", "--cache-dir", ROOT / ".mypy_cache" / "scaffold"]
    checked = run(copied, "mypy", *options, "-p", "services.translator")
    assert checked.returncode == 0, checked.stdout


RUN_IT = """
import asyncio, json, sys

from services.translator.agent import agent
from services.translator.settings import TranslatorSettings
from tests.support.simulated import Simulated
from waggle.testing import AgentHarness, HttpStub


async def main(objective, terms):
    async with HttpStub({"/de.json": json.loads(terms)}) as termbase:
        settings = TranslatorSettings(termbase=termbase.url)
        async with AgentHarness(agent, model=Simulated(), settings=settings) as harness:
            result = await harness.step(objective)
            print(result.text if hasattr(result, "text") else type(result).__name__)


asyncio.run(main(*sys.argv[1:]))
"""


def test_the_tasks_on_the_page_bring_the_results_on_the_page_with_the_simulated_model(copied):
    found, asked = re.findall(r'waggle submit "(.+?)" .*--agent translator', PAGE)
    (terms,) = re.findall(r"echo '(.+?)' > \S+/de\.json", PAGE)
    (result,) = re.findall(r"The result is `(.+?)`", PAGE)
    (copied / "run_it.py").write_text(RUN_IT)
    assert run(copied, "run_it", found, terms).stdout.splitlines() == [result]
    assert run(copied, "run_it", asked, terms).stdout.splitlines() == ["AskHuman"]


def test_every_name_the_page_imports_from_waggle_is_exported():
    for module, names in re.findall(r"^from (waggle[\w.]*) import (.+)$", PAGE, re.MULTILINE):
        exported = __import__(module, fromlist=["__all__"]).__all__
        assert {name.strip() for name in names.split(",")} <= set(exported), module
