"""The agent on the page about swarms passes its test, and the page says the thresholds of the code."""

import os
import re
import subprocess
import sys
from pathlib import Path

from schemas.brief import LARGEST_BRIEF
from schemas.budget import Budget
from shared.runs.handing import IDLE, MOST_VISITS, PING_PONG

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "swarm.md").read_text()


def test_the_agent_of_the_page_passes_its_test(tmp_path):
    files = dict(re.findall(r"`([a-z_]+\.py)`:\n\n```python\n(.*?)```", PAGE, re.DOTALL))
    assert list(files) == ["desk.py", "test_desk.py"]
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "instructions.md").write_text("Answer questions about orders.")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-o",
        "asyncio_mode=auto",
        "--rootdir",
        ".",
    ]
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "2 passed" in ran.stdout


def test_the_page_says_the_limits_of_the_code():
    assert f"each other {PING_PONG} times in a row" in PAGE
    assert f"for the {MOST_VISITS}th time" in PAGE
    assert f"{IDLE} handoffs in a row" in PAGE
    assert f"{LARGEST_BRIEF:,} characters" in PAGE
    assert f"({Budget().steps} unless" in PAGE
