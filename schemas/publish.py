"""Write or check what other languages read: `python -m schemas.publish [--check | --release]`.

`schemas/published/` holds one JSON Schema for each message and the AsyncAPI document; all of it is made here.
`schemas/published/released/` holds the schemas of the last release, which every change is held against.

When a check fails because a change cannot be read: make it a new version of the message (`version` of its class) beside
the old one. To give a message up for good, delete its file in `released/` in a commit that says why.
"""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from schemas.publishing.asyncapi import asyncapi
from schemas.publishing.compatibility import set_breaks
from schemas.publishing.json_schemas import file_of, message_schemas
from schemas.registry import TOPICS

PUBLISHED = Path(__file__).with_name("published")
ASYNCAPI = "asyncapi.json"

READERS_FIRST = frozenset(file_of(kind) for kind, topic in TOPICS.items() if topic == "tasks")
"""Messages whose readers, our services, are upgraded before those who write them."""


def documents() -> dict[str, str]:
    """The text of every generated file, by its name."""
    return {name: _text(content) for name, content in {**message_schemas(), ASYNCAPI: asyncapi()}.items()}


def differences(folder: Path) -> list[str]:
    """Which files of the folder are not what would be generated, one sentence each."""
    expected, present = documents(), {path.name: path.read_text("utf-8") for path in folder.glob("*.json")}
    found = [f"{name}: is missing" for name in expected.keys() - present.keys()]
    found += [f"{name}: belongs to no message" for name in present.keys() - expected.keys()]
    found += [
        f"{name}: is not what the models say"
        for name in expected.keys() & present.keys()
        if expected[name] != present[name]
    ]
    return sorted(f"{each}; run `make schemas`" for each in found)


def incompatibilities(folder: Path) -> list[str]:
    """What has changed since the last release, kept in the folder's `released/`, so that somebody cannot read it."""
    released = {path.name: json.loads(path.read_text("utf-8")) for path in (folder / "released").glob("*.json")}
    return set_breaks(released, message_schemas(), READERS_FIRST)


def write(folder: Path) -> None:
    """Make the folder what the models say."""
    expected = documents()
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.json"):
        if path.name not in expected:
            path.unlink()
    for name, text in expected.items():
        (folder / name).write_text(text, "utf-8")


def release(folder: Path) -> None:
    """Let today's schemas be what later changes are held against."""
    (folder / "released").mkdir(parents=True, exist_ok=True)
    for name, schema in message_schemas().items():
        (folder / "released" / name).write_text(_text(schema), "utf-8")


def main(arguments: Sequence[str] | None = None, folder: Path = PUBLISHED) -> int:
    """Write, check or release; every problem is one line on stderr. Returns 1 if there is any, else 0."""
    parser = ArgumentParser("python -m schemas.publish", description="Write schemas/published from the models.")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument(
        "--check", action="store_true", help="write nothing; say what is out of date or breaks a reader"
    )
    choice.add_argument(
        "--release", action="store_true", help="also make today's schemas the ones to hold changes against"
    )
    asked = parser.parse_args(arguments)
    if not asked.check:
        write(folder)
    problems = differences(folder) + incompatibilities(folder)
    if asked.release and not problems:
        release(folder)
    sys.stderr.writelines(f"{problem}\n" for problem in problems)
    return 1 if problems else 0


def _text(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main())
