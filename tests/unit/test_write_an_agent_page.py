"""The agent on the page about writing agents, copied whole, passes its test, the linter and the type checker."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def copied(tmp_path):
    """The files of the page, each under the name that stands before it."""
    page = (ROOT / "docs" / "write-an-agent.md").read_text()
    files = dict(re.findall(r"`([a-z_/]+\.py)`:\n\n```python\n(.*?)```", page, re.DOTALL))
    assert len(files) == 3
    files |= {"services/__init__.py": "", "services/translator/__init__.py": ""}
    for name, text in (files | {"services/translator/instructions.md": "Translate."}).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


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
