"""Files in `schemas/published`: generated, compared and released.

`schemas/published/` holds one JSON Schema for each message and the AsyncAPI document; all of it is generated.
`schemas/published/released/` holds the schemas of the last release, against which every change is checked.

When a check fails because of a breaking change: make it a new version of the message (`version` of its class) next to
the old one. To remove a message for good, delete its file in `released/` in a commit that says why.
"""

import json
from pathlib import Path
from typing import Any

from schemas.event import RunStarted
from schemas.publish.asyncapi import asyncapi
from schemas.publish.compatibility import set_breaks
from schemas.publish.json_schemas import file_of, message_schemas
from schemas.registry import TOPICS

PUBLISHED = Path(__file__).parents[1] / "published"
ASYNCAPI = "asyncapi.json"

READERS_FIRST = frozenset(
    {*(file_of(kind) for kind, topic in TOPICS.items() if topic == "tasks"), f"{file_of(RunStarted)}#task"}
)
"""Messages, and parts of messages, whose readers are upgraded before their writers: tasks, and the task of a run."""


def documents() -> dict[str, str]:
    """Return the text of every generated file, by name."""
    return {name: _text(content) for name, content in {**message_schemas(), ASYNCAPI: asyncapi()}.items()}


def differences(folder: Path) -> list[str]:
    """Return the outdated files of the folder, one sentence each."""
    expected, present = documents(), {path.name: path.read_text("utf-8") for path in folder.glob("*.json")}
    found = [f"{name}: is missing" for name in expected.keys() - present.keys()]
    found += [f"{name}: belongs to no message" for name in present.keys() - expected.keys()]
    found += [
        f"{name}: differs from the models"
        for name in expected.keys() & present.keys()
        if expected[name] != present[name]
    ]
    return sorted(f"{each}; run `make schemas`" for each in found)


def incompatibilities(folder: Path) -> list[str]:
    """Return the breaking changes since the last release, which is kept in the folder's `released/`."""
    released = {path.name: json.loads(path.read_text("utf-8")) for path in (folder / "released").glob("*.json")}
    return set_breaks(released, message_schemas(), READERS_FIRST)


def write(folder: Path) -> None:
    """Write the generated files and delete all others."""
    expected = documents()
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.json"):
        if path.name not in expected:
            path.unlink()
    for name, text in expected.items():
        (folder / name).write_text(text, "utf-8")


def release(folder: Path) -> None:
    """Store the current schemas as the released ones, against which later changes are checked."""
    (folder / "released").mkdir(parents=True, exist_ok=True)
    for name, schema in message_schemas().items():
        (folder / "released" / name).write_text(_text(schema), "utf-8")


def _text(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
