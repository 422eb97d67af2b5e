"""Editing a JSON object: in the person's editor, or from a file."""

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from services.cli.exit_codes import CommandError, Exit
from services.cli.terminal import one_line

_INVISIBLE = re.compile(
    "[\x7f-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\U000e0000-\U000e01ef]"
)
"""Characters that an editor may not show: written as escapes, as JSON permits."""


def object_in(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file; `-` is stdin. Raises CommandError."""
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text()
        found = json.loads(text, parse_constant=_no_constant)
    except (OSError, ValueError, RecursionError) as wrong:
        raise CommandError(f"{one_line(path)}: {one_line(wrong)}", "write one JSON object", code=Exit.USAGE) from None
    if not isinstance(found, dict):
        raise CommandError(f"{one_line(path)} is not a JSON object", "write one JSON object", code=Exit.USAGE)
    return found


def draft_of(value: Any, name: str) -> Path:
    """Write the value to a new file of this user alone, and return its path."""
    handle, path = tempfile.mkstemp(prefix=f"waggle-{name}-", suffix=".json")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(_readable(value))
    return Path(path)


def open_in_editor(path: Path, otherwise: str) -> None:
    """Open a file in the person's editor and wait until it is closed. Raises CommandError; `otherwise`: its remedy."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not editor:
        raise CommandError("there is no editor: VISUAL and EDITOR are not set", otherwise, code=Exit.USAGE)
    try:
        ended = subprocess.run([*shlex.split(editor), str(path)], check=False)  # noqa: S603 -- the person's own editor
    except (OSError, ValueError) as wrong:
        raise CommandError(f"the editor did not start: {one_line(wrong)}", otherwise, code=Exit.USAGE) from None
    if ended.returncode:
        raise CommandError(f"the editor ended with {ended.returncode}; nothing was sent", otherwise, code=Exit.FAILED)


def _readable(payload: Any) -> str:
    text = json.dumps(payload, indent=2, ensure_ascii=False) + "\n"
    return _INVISIBLE.sub(lambda found: json.dumps(found[0])[1:-1], text)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number that JSON has")
