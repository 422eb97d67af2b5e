"""`python -m tests.suites.entry <module>`: a service whose agent's instructions end with a sentence from a file."""

import os
import runpy
import sys
from pathlib import Path

from shared.agent import declare

SENTENCE = "SUITES_SENTENCE"
"""Environment variable: the file."""


def plant(path: Path) -> None:
    """Have the instructions end with the sentence, if there is one, as if an author had added it."""
    read = declare._instructions

    def planted(instructions):
        found = path.read_text() if path.exists() else ""
        return f"{read(instructions)}\n{found}" if found else read(instructions)

    declare._instructions = planted


if __name__ == "__main__":
    plant(Path(os.environ[SENTENCE]))
    _, module, *arguments = sys.argv
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
