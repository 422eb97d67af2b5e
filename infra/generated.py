"""Files generated from code."""

import sys
from collections.abc import Mapping
from pathlib import Path


def write_or_check(files: Mapping[Path, str], writer: str) -> None:
    """Write them; with --check on the command line, exit naming the first that `writer` would change."""
    for path, content in files.items():
        if "--check" not in sys.argv:
            path.write_text(content)
        elif not path.exists() or path.read_text() != content:
            sys.exit(f"{path} is out of date: run python -m {writer}")
